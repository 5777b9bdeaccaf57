package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"writ/manifest"
	"writ/render"
)

// Bounds of what is fetched.
const (
	maxArchive = 20 << 20 // bytes of a packed chart
	maxIndex   = 64 << 20 // bytes of a repository's index
	timeout    = time.Minute
)

// Config is what a Store is made of.
type Config struct {
	Dir     string // made when something is fetched
	CAFile  string // certificates to trust beside the system's, as PEM; may be empty
	Offline string // if not empty, nothing is fetched: what is not in the folder is refused with this remedy
	Log     *slog.Logger
}

// Store is a folder of fetched charts. It may be used by several goroutines, and by several processes.
type Store struct {
	*folder
	remote remote
	flight flights[fetched]
}

// fetched is a chart.
type fetched struct {
	archive []byte
	digest  string
}

// New makes a Store.
func New(c Config) (*Store, error) {
	remote, err := newRemote(c.CAFile)
	if err != nil {
		return nil, err
	}
	return &Store{folder: newFolder(c, "charts"), remote: remote}, nil
}

// record says which content a version had when it was fetched first.
type record struct {
	Repository string `json:"repository"`
	Chart      string `json:"chart,omitempty"`
	Version    string `json:"version"`
	Digest     string `json:"digest"`
}

// Fetch implements render.Charts.
func (s *Store) Fetch(ctx context.Context, c manifest.Chart) (archive []byte, digest string, err error) {
	got, err := s.flight.do(ctx, recordName(c)+c.Digest, func(ctx context.Context) (fetched, error) {
		archive, digest, err := s.fetch(ctx, c)
		return fetched{archive, digest}, err
	})
	return got.archive, got.digest, err
}

func (s *Store) fetch(ctx context.Context, c manifest.Chart) ([]byte, string, error) {
	first, err := s.recorded(c)
	if err != nil {
		return nil, "", err
	}
	want := c.Digest
	if want == "" {
		want = first
	}
	if want != "" {
		if data, err := s.kept(want); err == nil {
			return data, want, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("kept chart cannot be used and is fetched again", "digest", want, "err", err)
		}
	}
	if s.offline != "" {
		return nil, "", fmt.Errorf("%w: %s was never fetched here; %s", render.ErrRefused, title(c), s.offline)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	data, err := s.remote.get(ctx, c)
	if err != nil {
		return nil, "", err
	}
	digest := digestOf(data)
	switch {
	case c.Digest != "" && digest != c.Digest:
		return nil, "", fmt.Errorf("%w: %s has the digest %s, and writ.yaml says %s", render.ErrRefused, title(c), digest, c.Digest)
	case first != "" && digest != want:
		return nil, "", fmt.Errorf("%w: %s has the digest %s, and had %s when it was fetched first; a version must not change: if this one is meant, write its digest in writ.yaml",
			render.ErrRefused, title(c), digest, first)
	}
	if err := s.keep(c, digest, data); err != nil {
		return nil, "", err
	}
	s.log.Info("chart fetched", "repository", c.Repository, "chart", c.Chart, "version", c.Version, "digest", digest)
	return data, digest, nil
}

// title names a chart to people.
func title(c manifest.Chart) string {
	if c.Chart == "" {
		return c.Repository + " " + c.Version
	}
	return fmt.Sprintf("chart %s %s of %s", c.Chart, c.Version, c.Repository)
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func archiveName(digest string) string {
	return strings.ReplaceAll(digest, ":", "-") + ".tgz"
}

func recordName(c manifest.Chart) string {
	return named(c.Repository+"\x00"+c.Chart+"\x00"+c.Version) + ".json"
}

// recorded is the digest that a version had when it was fetched first, empty if it never was.
func (s *Store) recorded(c manifest.Chart) (string, error) {
	var r record
	if _, err := s.readRecord(recordName(c), &r); err != nil {
		return "", fmt.Errorf("which digest %s had: %w", title(c), err)
	}
	return r.Digest, nil
}

// kept is an archive that was fetched before, whole. The error wraps fs.ErrNotExist if it is not there.
func (s *Store) kept(digest string) ([]byte, error) {
	name := filepath.Join(s.dir, archiveName(digest))
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if found := digestOf(data); found != digest {
		return nil, fmt.Errorf("%s has the digest %s", name, found)
	}
	return data, nil
}

// keep writes an archive, and then that the version is it.
func (s *Store) keep(c manifest.Chart, digest string, data []byte) error {
	if err := s.write(archiveName(digest), data); err != nil {
		return err
	}
	return s.writeRecord(recordName(c), record{c.Repository, c.Chart, c.Version, digest})
}
