package control

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Images is the node's image store. Errors are shown to the person as they are.
type Images interface {
	Images() []Image
	// LoadImages takes up an archive, whole or not at all, and gives the names in it.
	LoadImages(ctx context.Context, archive io.Reader) ([]string, error)
	// PruneImages removes what nothing uses; with dry it only says what that is.
	PruneImages(dry bool) (Pruned, error)
}

// Image is one image of the node.
type Image struct {
	ID         string    `json:"id"`
	References []string  `json:"references"` // by tag
	Digests    []string  `json:"digests"`
	Size       int64     `json:"size"` // bytes, as transferred
	Disk       int64     `json:"disk"` // bytes, unpacked, with layers that others share
	Created    time.Time `json:"created,omitzero"`
	Arrived    time.Time `json:"arrived,omitzero"`
	LastUsed   time.Time `json:"lastUsed,omitzero"`
	// Kept says why it stays: who uses it, which commits and archives name it. Prune removes it if
	// that is empty.
	Kept []string `json:"kept"`
}

// Pruned is what was removed, or would be.
type Pruned struct {
	Images []Image `json:"images"`
	Bytes  int64   `json:"bytes"`
	DryRun bool    `json:"dryRun,omitempty"`
}

// Loaded is what an archive held.
type Loaded struct {
	References []string `json:"references"`
}

// WithImages makes the server answer about images. It is called before Serve.
func (s *Server) WithImages(i Images) *Server {
	s.images = i
	return s
}

func (s *Server) imageRoutes(mux *http.ServeMux) {
	if s.images == nil {
		return
	}
	mux.HandleFunc("GET /v1/images", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.images.Images()) })
	mux.HandleFunc("POST /v1/images/load", s.loadImages)
	mux.HandleFunc("POST /v1/images/prune", s.pruneImages)
}

func (s *Server) loadImages(w http.ResponseWriter, r *http.Request) {
	names, err := s.images.LoadImages(r.Context(), r.Body)
	if err != nil {
		// Who still sends would see a broken pipe instead of the reason.
		_, _ = io.Copy(io.Discard, r.Body)
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, Loaded{References: names})
}

func (s *Server) pruneImages(w http.ResponseWriter, r *http.Request) {
	pruned, err := s.images.PruneImages(r.FormValue("dry-run") != "")
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	reply(w, pruned)
}

// LoadImages sends an archive to the daemon.
func (c *Client) LoadImages(ctx context.Context, archive io.Reader) (Loaded, error) {
	var loaded Loaded
	err := c.send(ctx, "/v1/images/load", nil, archive, &loaded)
	return loaded, err
}

// PruneImages removes what nothing uses, or says what that is.
func (c *Client) PruneImages(ctx context.Context, dry bool) (Pruned, error) {
	query := url.Values{}
	if dry {
		query.Set("dry-run", "1")
	}
	var pruned Pruned
	err := c.send(ctx, "/v1/images/prune", query, nil, &pruned)
	return pruned, err
}

// send posts a body and decodes the answer into v.
func (c *Client) send(ctx context.Context, path string, query url.Values, body io.Reader, v any) error {
	answer, err := c.request(ctx, http.MethodPost, path, query, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := decode(answer, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
