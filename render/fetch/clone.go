package fetch

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"

	"writ/render"
	"writ/sync/bounds"
)

// maxPack bounds what a Git server may send for one commit, in bytes.
const maxPack = 64 << 20

// maxName bounds the path of a file, in bytes, as Linux does.
const maxName = 4096

// commitLimits bounds what that is once it is inflated.
var commitLimits = bounds.Limits{Objects: 200_000, Object: 32 << 20, Total: 256 << 20}

// clone gets one commit, without its history, as a zip archive. known is its hash, empty for a tag that
// was never fetched.
func (b *Bases) clone(ctx context.Context, base render.Base, known string) ([]byte, plumbing.Hash, error) {
	store, commit, err := b.download(ctx, base, known)
	if err != nil {
		return nil, commit, sorted(err)
	}
	packed, err := archive(store, commit)
	return packed, commit, err
}

// sorted tells what does not go away by waiting from what may.
func sorted(err error) error {
	var large bounds.TooLarge
	switch {
	case errors.Is(err, render.ErrRefused):
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return fmt.Errorf("%w: there is no such repository, or it asks for a password; bases are fetched without one", render.ErrRefused)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%w: there is no such repository", render.ErrRefused)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("%w: the repository is empty", render.ErrRefused)
	case strings.Contains(err.Error(), "not our ref"): // git upload-pack(1) has no code for it
		return fmt.Errorf("%w: the repository has no such commit", render.ErrRefused)
	case errors.As(err, &large):
		return fmt.Errorf("%w: %w", render.ErrRefused, err)
	}
	return err
}

func (b *Bases) download(ctx context.Context, base render.Base, known string) (*memory.Storage, plumbing.Hash, error) {
	session, err := githttp.NewClient(b.client).NewUploadPackSession(endpoint(base.URL), nil)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	defer session.Close()
	offered, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	want, commit, err := choose(offered, base, known)
	if err != nil {
		return nil, commit, err
	}
	request := packp.NewUploadPackRequestFromCapabilities(offered.Capabilities)
	if offered.Capabilities.Supports(capability.Shallow) {
		request.Depth = packp.DepthCommits(1)
		if err := request.Capabilities.Set(capability.Shallow); err != nil {
			return nil, commit, err
		}
	}
	request.Wants = []plumbing.Hash{want}
	answer, err := session.UploadPack(ctx, request)
	if err != nil {
		return nil, commit, err
	}
	defer answer.Close()
	var sent bytes.Buffer
	if err := bounds.Pack(&sent, unframed(request.Capabilities, answer), commitLimits); err != nil {
		return nil, commit, err
	}
	store := memory.NewStorage()
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(bytes.NewReader(sent.Bytes())), store)
	if err == nil {
		_, err = parser.Parse()
	}
	return store, commit, err
}

func endpoint(u *url.URL) *transport.Endpoint {
	e := &transport.Endpoint{Protocol: u.Scheme, Host: u.Hostname(), Path: u.EscapedPath()}
	e.Port, _ = strconv.Atoi(u.Port()) // digits or nothing; url.Parse has seen to that
	return e
}

func unframed(capabilities *capability.List, r io.Reader) io.Reader {
	switch {
	case capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	}
	return r
}

// choose finds what to ask for, and the commit that it leads to.
func choose(offered *packp.AdvRefs, base render.Base, known string) (want, commit plumbing.Hash, err error) {
	if known == "" {
		name := "refs/tags/" + base.Ref
		want, found := offered.References[name]
		if !found {
			return want, want, noTag(offered, base)
		}
		if peeled, annotated := offered.Peeled[name]; annotated {
			return want, peeled, nil
		}
		return want, want, nil
	}
	commit = plumbing.NewHash(known)
	for name, hash := range offered.References {
		if hash == commit || offered.Peeled[name] == commit {
			return hash, commit, nil
		}
	}
	if offered.Capabilities.Supports(capability.AllowReachableSHA1InWant) || offered.Capabilities.Supports("allow-any-sha1-in-want") {
		return commit, commit, nil
	}
	return want, commit, fmt.Errorf("%w: the server gives out commit %s no more, or only by a tag", render.ErrRefused, known)
}

func noTag(offered *packp.AdvRefs, base render.Base) error {
	if _, branch := offered.References["refs/heads/"+base.Ref]; branch {
		return fmt.Errorf("%w: %s is a branch, which means something else tomorrow, and a rendering depends on the commit only: name a tag or the whole hash of a commit",
			render.ErrRefused, base.Ref)
	}
	return fmt.Errorf("%w: there is no tag %s, and only a tag or the whole hash of a commit can be named", render.ErrRefused, base.Ref)
}

// archive packs the files of a commit. A symbolic link stays one, which nobody follows; submodules are
// left out.
func archive(store *memory.Storage, hash plumbing.Hash) ([]byte, error) {
	commit, err := object.GetCommit(store, hash)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no commit: %w", render.ErrRefused, err)
	}
	tree, err := commit.Tree()
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	if err := errors.Join(addAll(w, tree), w.Close()); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// addAll packs what a tree leads to. It counts anew: a few objects that name each other many times make
// more files than any disk holds.
func addAll(w *zip.Writer, tree *object.Tree) error {
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	var entries uint32
	var total int64
	for {
		name, entry, err := walker.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if entries++; entries > commitLimits.Objects {
			return fmt.Errorf("%w: it holds more than %d files and folders", render.ErrRefused, commitLimits.Objects)
		}
		if len(name) > maxName || !fs.ValidPath(name) {
			return fmt.Errorf("%w: it holds a file with the name %.200q", render.ErrRefused, name)
		}
		if entry.Mode == filemode.Dir || entry.Mode == filemode.Submodule {
			continue
		}
		f, err := tree.TreeEntryFile(&entry)
		if err != nil {
			return err
		}
		if total += f.Size; total > commitLimits.Total {
			return fmt.Errorf("%w: its files are larger than %d MiB together", render.ErrRefused, commitLimits.Total>>20)
		}
		if err := add(w, name, f); err != nil {
			return err
		}
	}
}

func add(w *zip.Writer, name string, f *object.File) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	header.SetMode(0o444)
	if f.Mode == filemode.Symlink {
		header.SetMode(fs.ModeSymlink | 0o777)
	}
	to, err := w.CreateHeader(header)
	if err != nil {
		return err
	}
	from, err := f.Reader()
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, from.Close())
}

// limited bounds how much a Git server sends.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &bounded{answer.Body, maxPack}
	return answer, nil
}

// bounded fails where io.LimitReader would pretend an end.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, bounds.TooLarge(fmt.Sprintf("the server sent more than %d MiB", maxPack>>20))
	}
	return n, err
}
