package image

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// longestWait is how long a registry may put its askers off.
const longestWait = time.Hour

// later is an error of a registry that said when to ask again.
type later struct {
	error
	after time.Duration
}

func (l *later) Unwrap() error { return l.error }

// RetryAfter is how long the registry asked to be left alone, at most an hour; 0 if it did not say.
func RetryAfter(err error) time.Duration {
	var l *later
	if errors.As(err, &l) {
		return l.after
	}
	return 0
}

// Later is an error of a registry that asked to be left alone for so long.
func Later(err error, after time.Duration) error { return &later{error: err, after: after} }

type afterKey struct{}

// afterNote takes down what registries say while one pull goes on.
type afterNote struct {
	mu    sync.Mutex
	after time.Duration
}

// withAfter makes answers to requests with the context be looked at. The returned function adds what they said
// to the error of the pull, if that is one of a registry in trouble.
func withAfter(ctx context.Context) (context.Context, func(error) error) {
	note := &afterNote{}
	return context.WithValue(ctx, afterKey{}, note), func(err error) error {
		note.mu.Lock()
		defer note.mu.Unlock()
		if note.after <= 0 || !errors.Is(err, ErrUnavailable) {
			return err
		}
		return Later(err, note.after)
	}
}

// noteRetryAfter reads Retry-After (RFC 9110, 10.2.3) of an answer that turns its asker away.
func noteRetryAfter(ctx context.Context, resp *http.Response) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return
	}
	note, ok := ctx.Value(afterKey{}).(*afterNote)
	if !ok {
		return
	}
	after := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now())
	note.mu.Lock()
	defer note.mu.Unlock()
	note.after = max(note.after, after)
}

func parseRetryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return min(max(time.Duration(seconds), 0), longestWait/time.Second) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), longestWait)
	}
	return 0
}
