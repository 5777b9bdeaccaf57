package fetch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"writ/render"
)

// BasesConfig is what Bases is made of.
type BasesConfig struct {
	Config
	Hosts []string // that may be asked, each with its port unless that is the usual one
}

// Bases is a folder of remote bases, by their commits. It may be used by several goroutines, and by
// several processes.
type Bases struct {
	*folder
	hosts  []string
	client *http.Client
	flight flights[render.BaseFiles]
}

// NewBases makes it.
func NewBases(c BasesConfig) (*Bases, error) {
	remote, err := newRemote(c.CAFile)
	if err != nil {
		return nil, err
	}
	b := &Bases{folder: newFolder(c.Config, "bases")}
	for _, h := range c.Hosts {
		if u, err := url.Parse("https://" + h); err != nil || h == "" || u.Host != h {
			return nil, fmt.Errorf("remote bases from %q: a host is wanted, as github.com or git.example:8443", h)
		}
		b.hosts = append(b.hosts, strings.ToLower(h))
	}
	b.client = &http.Client{Transport: limited{remote.client.Transport}, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if err := b.allowed(r.URL.Host); err != nil {
			return fmt.Errorf("%w (%s redirects there)", err, via[0].URL.Host)
		}
		return redirect(r, via)
	}}
	return b, nil
}

func (b *Bases) allowed(host string) error {
	if slices.Contains(b.hosts, strings.ToLower(host)) {
		return nil
	}
	return render.NotAllowed(host)
}

// Fetch implements render.Bases.
func (b *Bases) Fetch(ctx context.Context, base render.Base) (render.BaseFiles, error) {
	if err := b.allowed(base.URL.Host); err != nil {
		return nil, err
	}
	return b.flight.do(ctx, base.URL.String()+"@"+base.Ref, func(ctx context.Context) (render.BaseFiles, error) { return b.fetch(ctx, base) })
}

// tagged says which commit a tag was when it was fetched first.
type tagged struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Commit     string `json:"commit"`
}

func (b *Bases) fetch(ctx context.Context, base render.Base) (render.BaseFiles, error) {
	commit, err := b.commit(base)
	if err != nil {
		return nil, err
	}
	if commit != "" {
		files, err := b.kept(base, commit)
		if err == nil {
			return files, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			b.log.Warn("kept base cannot be used and is fetched again", "commit", commit, "err", err)
		}
	}
	if b.offline != "" {
		return nil, fmt.Errorf("%w: %s was never fetched here; %s", render.ErrRefused, base, b.offline)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	packed, hash, err := b.clone(ctx, base, commit)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", base, err)
	}
	if err := b.keep(base, hash.String(), packed); err != nil {
		return nil, err
	}
	b.log.Info("base fetched", "repository", base.URL.String(), "ref", base.Ref, "commit", hash.String())
	return unpack(packed)
}

// commit is the hash that a base has for ever, empty for a tag that was never fetched.
func (b *Bases) commit(base render.Base) (string, error) {
	if plumbing.IsHash(base.Ref) {
		return base.Ref, nil
	}
	var t tagged
	found, err := b.readRecord(tagName(base), &t)
	switch {
	case err == nil && !found:
		return "", nil
	case err == nil && !plumbing.IsHash(t.Commit):
		err = errors.New("the record names none")
	}
	if err != nil {
		return "", fmt.Errorf("which commit %s was: %w", base, err)
	}
	return t.Commit, nil
}

// files are named by their repository too: a host that holds any commit must not answer for another.
func tagName(base render.Base) string { return named(base.URL.String()+"\x00"+base.Ref) + ".json" }

func commitName(base render.Base, commit string) string {
	return commit + "-" + named(base.URL.String())[:16] + ".zip"
}

// kept is a base that was fetched before, whole. The error wraps fs.ErrNotExist if it is not there.
func (b *Bases) kept(base render.Base, commit string) (render.BaseFiles, error) {
	name := filepath.Join(b.dir, commitName(base, commit))
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	sum, packed := data[:min(len(data), sha256.Size)], data[min(len(data), sha256.Size):]
	if found := sha256.Sum256(packed); !bytes.Equal(found[:], sum) {
		return nil, fmt.Errorf("%s is damaged", name)
	}
	return unpack(packed)
}

// files are those of a base, packed.
type files struct {
	*zip.Reader
	size int64
}

func (f files) Size() int64 { return f.size }

func unpack(packed []byte) (render.BaseFiles, error) {
	size := int64(len(packed))
	r, err := zip.NewReader(bytes.NewReader(packed), size)
	if err != nil {
		return nil, err
	}
	return files{r, size}, nil
}

// keep writes the files of a commit, and then that the tag is it.
func (b *Bases) keep(base render.Base, commit string, packed []byte) error {
	sum := sha256.Sum256(packed) // goes before what it is of
	if err := b.write(commitName(base, commit), slices.Concat(sum[:], packed)); err != nil || plumbing.IsHash(base.Ref) {
		return err
	}
	return b.writeRecord(tagName(base), tagged{base.URL.String(), base.Ref, commit})
}
