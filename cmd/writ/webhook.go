package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/spf13/pflag"

	"writ/sync/webhook"
)

// hookConfig is where a forge may say that something was pushed.
type hookConfig struct{ listen, secret string }

func (c *hookConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.listen, "webhook-listen", "", "address for POST /hooks/{github,gitlab,gitea,bitbucket,generic}; empty for none")
	f.StringVar(&c.secret, "webhook-secret", "", "file with the secret that the forge was given")
}

func (c *hookConfig) validate() error {
	switch {
	case (c.listen == "") != (c.secret == ""):
		return errors.New("--webhook-listen and --webhook-secret belong together")
	case c.listen == "":
		return nil
	}
	if _, _, err := net.SplitHostPort(c.listen); err != nil {
		return fmt.Errorf("--webhook-listen: %w", err)
	}
	return nil
}

// serveHooks takes hints that the repository has something new until ctx ends.
func (n *node) serveHooks(ctx context.Context) error {
	h, err := webhook.New(webhook.Config{SecretFile: n.cfg.hooks.secret, Hint: n.mirror.Nudge, Log: n.log.With("component", "webhook")})
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", n.cfg.hooks.listen)
	if err != nil {
		return fmt.Errorf("listen for webhooks: %w", err)
	}
	server := webhook.Server(h)
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
