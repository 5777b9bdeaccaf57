package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Downloads of layers are resumed where they broke off, below the registry client: it compares digest and
// size of the whole stream and never learns that there were several answers.

const (
	// resumes is how often a download is taken up again without progress in between.
	resumes = 4
	// progress is how many bytes count as some: a registry that dribbles is as good as silent.
	progress = 4 << 10
)

type downloadKey struct{}

// trail is where a download began: registries answer with addresses elsewhere that are good for a while.
type trail struct{ first *http.Request }

// asDownload marks requests whose answers are to be resumed. They are those of one layer.
func asDownload(ctx context.Context) context.Context {
	return context.WithValue(ctx, downloadKey{}, &trail{})
}

// resuming resumes answers to requests that are marked.
type resuming struct {
	base     http.RoundTripper
	patience patience
	renew    func(context.Context) (token string, err error) // where a bearer token is good no more
}

func (t *resuming) RoundTrip(r *http.Request) (*http.Response, error) {
	from, marked := r.Context().Value(downloadKey{}).(*trail)
	if !marked || r.Method != http.MethodGet {
		return document(t.base.RoundTrip(r))
	}
	if isBlob(r.URL.Path) {
		from.first = r
	}
	d := &download{base: t.base, patience: t.patience, renew: t.renew, req: r, first: from.first, left: t.patience.silence}
	resp, err := d.ask(0)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body = &closing{resp.Body, d.cancel}
		return resp, nil
	}
	d.size, d.body = resp.ContentLength, resp.Body
	resp.Body = d
	return resp, nil
}

// document is an answer that comes into memory as a whole.
func document(resp *http.Response, err error) (*http.Response, error) {
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{&bounded{r: resp.Body, left: mostDocument}, resp.Body}
	}
	return resp, err
}

// closing ends a request with its body.
type closing struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (c *closing) Close() error {
	defer c.cancel(nil)
	return c.ReadCloser.Close()
}

// download is the body of one layer, over as many answers as it takes. It belongs to one reader.
type download struct {
	base     http.RoundTripper
	patience patience
	renew    func(context.Context) (string, error)
	req      *http.Request
	first    *http.Request // to the registry, before it sent us elsewhere; nil if that is not known

	body   io.ReadCloser // of the present answer
	ctx    context.Context
	cancel context.CancelCauseFunc // ends the present answer
	size   int64                   // negative if the registry did not say
	got    int64
	broken error // why the present answer ended, before its end

	left  time.Duration // how long the registry may be silent
	since int64         // bytes since left was filled up
	tries int           // in a row without progress
	mark  int64         // what was here at the last progress
	whole int           // how often the registry sent everything again
}

// ask sends the request, for the part that begins at a byte.
func (d *download) ask(from int64) (*http.Response, error) {
	return d.askAt(d.req, from)
}

// askAt sends it to another address than the present one.
func (d *download) askAt(req *http.Request, from int64) (*http.Response, error) {
	d.ctx, d.cancel = context.WithCancelCause(d.req.Context())
	r := req.Clone(d.ctx)
	if from > 0 {
		r.Header.Set("Range", byteRange(from, d.size))
	}
	stop := time.AfterFunc(d.patience.silence, func() { d.cancel(errSilent) })
	resp, err := d.base.RoundTrip(r)
	if !stop.Stop() && err == nil && d.ctx.Err() != nil {
		resp.Body.Close()
		err = errSilent
	}
	if err != nil {
		err = d.why(err)
		d.cancel(nil)
		return nil, err
	}
	return resp, nil
}

func byteRange(from, size int64) string {
	if size > from {
		return fmt.Sprintf("bytes=%d-%d", from, size-1)
	}
	return fmt.Sprintf("bytes=%d-", from)
}

// why prefers the reason that an answer was given up to what that looked like.
func (d *download) why(err error) error {
	if d.ctx.Err() != nil && err != nil {
		return context.Cause(d.ctx)
	}
	return err
}

func (d *download) Read(p []byte) (int, error) {
	for {
		if d.broken != nil {
			if err := d.resume(); err != nil {
				return 0, err
			}
		}
		n, err := d.read(p)
		if d.got += int64(n); d.got-d.mark >= progress {
			d.mark, d.tries = d.got, 0
		}
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, io.EOF) && (d.size < 0 || d.got >= d.size):
			return n, io.EOF
		case d.req.Context().Err() != nil:
			return n, context.Cause(d.req.Context())
		}
		d.broken = err
		if n > 0 {
			return n, nil
		}
	}
}

// read is one read that does not wait for ever. Only the time in here counts, not that of the consumer.
func (d *download) read(p []byte) (int, error) {
	begun, cancel := time.Now(), d.cancel
	stall := time.AfterFunc(d.left, func() { cancel(errSilent) })
	n, err := d.body.Read(p)
	stall.Stop()
	if d.since += int64(n); d.since >= progress {
		d.since, d.left = 0, d.patience.silence
	} else {
		d.left = max(d.left-time.Since(begun), time.Millisecond)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = d.why(err)
	}
	return n, err
}

// resume takes the download up where it broke off. The error is why it broke, if it cannot be.
func (d *download) resume() error {
	d.body.Close()
	d.cancel(nil)
	for {
		if d.tries++; d.tries > resumes {
			return fmt.Errorf("%w: the download broke off after %d bytes: %w", ErrUnavailable, d.got, d.broken)
		}
		if err := d.pause(d.patience.pause << (d.tries - 1)); err != nil {
			return err
		}
		resp, err := d.rest(d.req)
		if err == nil && expired(resp.StatusCode) {
			resp, err = d.anew(resp)
		}
		if err == nil {
			err = d.accept(resp)
		}
		if err == nil {
			d.broken, d.left, d.since = nil, d.patience.silence, 0
			return nil
		}
		if d.req.Context().Err() != nil {
			return context.Cause(d.req.Context())
		}
		if errors.Is(err, errNoResume) {
			return fmt.Errorf("%w: the download broke off after %d bytes: %w; %w", ErrUnavailable, d.got, d.broken, err)
		}
		d.broken = err
	}
}

// isBlob tells the registry's own address of a layer.
func isBlob(path string) bool {
	return strings.HasPrefix(path, "/v2/") && strings.Contains(path, "/blobs/")
}

// expired is how an address that was good for a while answers later.
func expired(status int) bool {
	return status == http.StatusForbidden || status == http.StatusUnauthorized || status == http.StatusGone || status == http.StatusNotFound
}

// anew asks the registry where the layer is now, if it had sent us elsewhere. Only an address on the same host is
// taken: where else a redirect may lead, the registry client decides.
func (d *download) anew(refused *http.Response) (*http.Response, error) {
	if d.first == nil || d.first.URL.Host == d.req.URL.Host && d.first.URL.Path == d.req.URL.Path {
		return refused, nil
	}
	refused.Body.Close()
	d.cancel(nil)
	resp, err := d.rest(d.first)
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 {
		return resp, err
	}
	to, err := resp.Location()
	resp.Body.Close()
	d.cancel(nil)
	if err != nil || to.Host != d.req.URL.Host {
		return nil, fmt.Errorf("%w: the registry sends us elsewhere now", errNoResume)
	}
	next := d.req.Clone(d.req.Context())
	next.URL = to
	if was := next.Header.Get("Authorization"); was != "" { // one that the host is shown: the registry's own
		next.Header.Set("Authorization", d.first.Header.Get("Authorization"))
	}
	d.req = next
	return d.ask(d.got)
}

// rest asks for what is not here yet. The registry client, which has a new token when one is good no more, is
// above and does not hear of this.
func (d *download) rest(req *http.Request) (*http.Response, error) {
	resp, err := d.askAt(req, d.got)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !isBlob(req.URL.Path) || !strings.HasPrefix(req.Header.Get("Authorization"), "Bearer ") {
		return resp, err
	}
	resp.Body.Close()
	d.cancel(nil)
	ctx, cancel := context.WithTimeout(context.WithValue(req.Context(), downloadKey{}, nil), d.patience.documents)
	defer cancel()
	token, err := d.renew(ctx)
	if err != nil {
		return nil, err
	}
	again := req.Clone(req.Context())
	again.Header.Set("Authorization", "Bearer "+token)
	if d.req == req {
		d.req = again
	}
	if d.first == req {
		d.first = again
	}
	return d.askAt(again, d.got)
}

func (d *download) pause(t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.req.Context().Done():
		return context.Cause(d.req.Context())
	}
}

// errNoResume: the registry answered, but not with the rest.
var errNoResume = errors.New("it cannot be resumed")

// accept takes an answer that is the rest, or the whole of which the beginning is here already.
func (d *download) accept(resp *http.Response) error {
	d.body = resp.Body
	var from, to int64
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/", &from, &to); err != nil || from != d.got || d.size >= 0 && to >= d.size {
			return d.refuse(fmt.Errorf("%w: asked for the part from %d, got %q", errNoResume, d.got, resp.Header.Get("Content-Range")))
		}
		return nil
	case resp.StatusCode == http.StatusOK:
		return d.skip()
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return d.refuse(fmt.Errorf("status %s", resp.Status)) // may be better soon
	}
	return d.refuse(fmt.Errorf("%w: status %s", errNoResume, resp.Status))
}

func (d *download) refuse(err error) error {
	d.body.Close()
	d.cancel(nil)
	return err
}

// skip passes over what is here already, from a server that does not know parts.
func (d *download) skip() error {
	if d.whole++; d.whole > resumes {
		return d.refuse(fmt.Errorf("%w: the registry knows no parts", errNoResume))
	}
	buf := make([]byte, 32<<10)
	for left := d.got; left > 0; {
		n, err := d.read(buf[:min(int64(len(buf)), left)])
		if left -= int64(n); err != nil && left > 0 {
			return d.refuse(err)
		}
	}
	return nil
}

func (d *download) Close() error {
	defer d.cancel(nil)
	return d.body.Close()
}
