package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// shelf is an image store that takes archives beginning with "good".
type shelf struct {
	loaded []string
	asked  []bool
}

func (s *shelf) Images() []Image { return []Image{{ID: "sha256:1", References: []string{"app:1"}}} }

func (s *shelf) LoadImages(_ context.Context, in io.Reader) ([]string, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	if string(head) != "good" {
		return nil, errors.New("load images: it is no archive")
	}
	data, err := io.ReadAll(in)
	s.loaded = append(s.loaded, string(data))
	return []string{"app:1"}, err
}

func (s *shelf) PruneImages(dry bool) (Pruned, error) {
	s.asked = append(s.asked, dry)
	return Pruned{Images: s.Images(), Bytes: 7, DryRun: dry}, nil
}

func serveImages(t *testing.T, images Images) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	n := &node{w: world(t)}
	go func() {
		done <- NewServer(n, noEvents{}, echo{}, n, slog.New(slog.DiscardHandler)).WithImages(images).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return NewClient(path)
}

func TestServer_Images(t *testing.T) {
	s := &shelf{}
	c := serveImages(t, s)
	var list []Image
	if err := c.Get(t.Context(), "/v1/images", nil, &list); err != nil || len(list) != 1 || list[0].ID != "sha256:1" {
		t.Errorf("images: %+v, %v", list, err)
	}
	large := strings.Repeat("x", 4<<20)
	if got, err := c.LoadImages(t.Context(), strings.NewReader("good"+large)); err != nil || len(got.References) != 1 || len(s.loaded) != 1 || s.loaded[0] != large {
		t.Errorf("load: %+v, %v", got, err)
	}
	// A refusal reaches whoever is still sending.
	if _, err := c.LoadImages(t.Context(), strings.NewReader("bad!"+large)); err == nil || !strings.Contains(err.Error(), "it is no archive") {
		t.Errorf("load of something else: %v", err)
	}
	for _, dry := range []bool{true, false} {
		if got, err := c.PruneImages(t.Context(), dry); err != nil || got.Bytes != 7 || got.DryRun != dry || s.asked[len(s.asked)-1] != dry {
			t.Errorf("prune, dry %v: %+v, %v", dry, got, err)
		}
	}
}
