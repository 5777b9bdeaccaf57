package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"writ/api/control"
)

// follow calls each with every value that the daemon sends on a path, until it says stop or returns an error.
func follow[T any](ctx context.Context, c *control.Client, path string, query url.Values, each func(*T) (stop bool, err error)) error {
	query.Set("watch", "1")
	body, err := c.Stream(ctx, http.MethodGet, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	for in := json.NewDecoder(body); ; {
		var x T
		switch err := in.Decode(&x); {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the daemon has gone")
		default:
			return fmt.Errorf("read %s: %w", path, err)
		}
		if stop, err := each(&x); stop || err != nil {
			return err
		}
	}
}
