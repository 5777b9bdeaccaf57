package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	maxBody   = 3 << 20
	maxAtOnce = 4 // requests whose bodies are read at the same time
)

// Config is what a handler needs.
type Config struct {
	// SecretFile holds the secret that the forge was given. It is read for each request, so it can be
	// changed. A final newline is ignored; an empty file refuses everything.
	SecretFile string
	// Hint is called after a request that is genuine. It must return at once.
	Hint func()
	// Every is the shortest time between two hints. What comes in between becomes one hint at its end.
	// Default 1 s.
	Every time.Duration
	// Log takes what an operator needs to find a wrong secret. Nothing of a payload is logged.
	Log *slog.Logger
}

// Validate finds what cannot work. It opens no file.
func (c Config) Validate() error {
	switch {
	case c.SecretFile == "":
		return errors.New("webhooks need a file with a secret")
	case c.Hint == nil || c.Log == nil:
		return errors.New("webhooks need a hint and a log")
	case c.Every < 0:
		return errors.New("the time between hints must not be negative")
	}
	return nil
}

// Handler answers POST /hooks/{github,gitlab,gitea,bitbucket,generic}.
type Handler struct {
	cfg  Config
	room chan struct{}

	mu     sync.Mutex
	last   time.Time   // of the last hint
	timer  *time.Timer // of the next one, nil where none is due
	closed bool
}

// New makes a handler. The caller closes it.
func New(cfg Config) (*Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure webhooks: %w", err)
	}
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	return &Handler{cfg: cfg, room: make(chan struct{}, maxAtOnce)}, nil
}

// Server is an http.Server for a Handler whose clients cannot hold on to it for long.
func Server(h *Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 20 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(h.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// ServeHTTP answers 202 to what is genuine, 503 while too many are being read, and 404 to all else.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case h.room <- struct{}{}:
		defer func() { <-h.room }()
	default:
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	if why := h.check(w, r); why != nil {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		h.cfg.Log.Debug("webhook refused", "from", from, "err", why)
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	h.hint()
	w.WriteHeader(http.StatusAccepted)
}

// check reads the whole request whatever its path is, so that its answer takes as long.
func (h *Handler) check(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	secret, err := os.ReadFile(h.cfg.SecretFile)
	if err != nil {
		h.cfg.Log.Warn("webhooks are refused", "err", err)
		return err
	}
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) == 0 {
		h.cfg.Log.Warn("webhooks are refused", "err", "the secret is empty")
		return errors.New("the secret is empty")
	}
	forge, ok := strings.CutPrefix(r.URL.Path, "/hooks/")
	proof, known := forges[forge]
	switch {
	case r.Method != http.MethodPost || !ok || !known:
		return errors.New("there is no such hook")
	case !proof(r.Header, secret, body):
		return errors.New("its signature or token is wrong")
	}
	return nil
}

// hint passes on the first occurrence at once and those that come soon after as one.
func (h *Handler) hint() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.timer != nil {
		return
	}
	if wait := h.cfg.Every - time.Since(h.last); wait > 0 {
		h.timer = time.AfterFunc(wait, h.due)
		return
	}
	h.last = time.Now()
	h.cfg.Hint()
}

func (h *Handler) due() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = nil
	if !h.closed {
		h.last = time.Now()
		h.cfg.Hint()
	}
}

// Close ends hinting: Hint is not called afterwards.
func (h *Handler) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
}
