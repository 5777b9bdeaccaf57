package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"

	"writ/render/wire"
)

// Bases gets repositories that kustomizations name as remote bases.
type Bases interface {
	// Fetch returns the files of a commit, which never change. The error wraps ErrRefused when it says
	// something about the base; any other says that it cannot be got now.
	Fetch(ctx context.Context, b Base) (BaseFiles, error)
}

// BaseFiles are the files of a base, which are in memory as long as they are used.
type BaseFiles interface {
	fs.FS
	Size() int64 // bytes that they take there
}

// Base is a commit of another repository.
type Base struct {
	URL *url.URL // https or http, without a login and a query
	Ref string   // a tag, or the whole hash of a commit
}

// String is host/path@ref. The "@" is the only one.
func (b Base) String() string {
	return b.URL.Host + strings.ReplaceAll(strings.TrimSuffix(b.URL.EscapedPath(), ".git"), "@", "%40") + "@" + strings.ReplaceAll(url.PathEscape(b.Ref), "@", "%40")
}

// What one kustomization may have fetched.
const (
	maxBases     = 32
	maxBaseBytes = 256 << 20 // all together, as they are in memory
)

var (
	shorthand = regexp.MustCompile(`(?i)^(?:www\.)?(github\.com|gitlab\.com|bitbucket\.org)/`)
	loginSSH  = regexp.MustCompile(`^[A-Za-z0-9_.-]+@[^/]*:`)
)

// parseBase reads the name of a remote base as kustomize does: the repository, after "//", after ".git"
// or after two parts the folder in it, and ?ref=. The errors wrap ErrRefused.
func parseBase(text string) (b Base, folder string, err error) {
	refused := func(format string, args ...any) (Base, string, error) {
		return Base{}, "", fmt.Errorf("%w: "+format, append([]any{ErrRefused}, args...)...)
	}
	name, _ := strings.CutPrefix(text, "git::")
	if shorthand.MatchString(name) {
		name = "https://" + name
	}
	if loginSSH.MatchString(name) || strings.HasPrefix(name, "ssh://") {
		return refused("remote bases are fetched by https, without a key: write https://HOST/ORG/REPO//FOLDER?ref=TAG")
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return refused("is no address of a remote base: https://HOST/ORG/REPO//FOLDER?ref=TAG is one")
	}
	if u.User != nil {
		return refused("remote bases are fetched without a login: take it out of the address")
	}
	query := u.Query()
	for key := range query {
		if key != "ref" && key != "version" && key != "timeout" {
			return refused("%s has no meaning here: only ref is read", key)
		}
	}
	ref := query.Get("ref")
	if ref == "" {
		ref = query.Get("version")
	}
	if ref == "" {
		return refused("does not say which commit: end it with ?ref= and a tag or the whole hash of a commit")
	}
	repository, folder := splitBase(u.Path)
	switch {
	case repository == "/":
		return refused("does not say which repository, or where in it the folder is: write // between them")
	case !fs.ValidPath(folder):
		return refused("leads out of the repository")
	}
	b = Base{URL: &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: repository}, Ref: ref}
	if root := "/" + b.String(); path.Clean(root) != root || wire.BaseRoot(root) != root {
		return refused("is no address of a remote base")
	}
	return b, folder, nil
}

// splitBase parts the path of a repository from that of a folder in it, / and . if there are none.
func splitBase(name string) (repository, folder string) {
	name = strings.TrimPrefix(name, "/")
	if before, after, found := strings.Cut(name, "//"); found {
		repository, folder = before, after
	} else if i := strings.Index(name+"/", ".git/"); i >= 0 {
		repository, folder = name[:i+len(".git")], name[i+len(".git"):]
	} else if parts := strings.SplitN(name, "/", 3); len(parts) > 1 {
		repository, folder = path.Join(parts[:2]...), strings.Join(parts[2:], "")
	}
	return path.Clean("/" + repository), path.Join(".", strings.Trim(folder, "/"))
}

// NotAllowed is the error for a base whose host is not among those that may be asked.
func NotAllowed(host string) error {
	return fmt.Errorf("%w: lies outside of the repository, and %s is not among the hosts of --remote-bases of this node: list it there, or commit a copy of the base", ErrRefused, host)
}

// base answers where a remote base is.
func (w *worker) base(ctx context.Context, ask wire.Ask) wire.Answer {
	at, err := w.fetchBase(ctx, ask.Path)
	switch {
	case errors.Is(err, ErrRefused):
		return wire.Answer{Refused: why(err)}
	case err != nil:
		w.files.away = err
		return wire.Answer{Refused: "cannot be fetched now"}
	}
	return wire.Answer{Kind: wire.Folder, Path: at}
}

func (w *worker) fetchBase(ctx context.Context, name string) (string, error) {
	b, folder, err := parseBase(name)
	if err != nil {
		return "", err
	}
	if w.config.Bases == nil {
		return "", NotAllowed(b.URL.Host)
	}
	if w.files.fetched++; w.files.fetched > maxBases {
		return "", fmt.Errorf("%w: the kustomization uses more than %d remote bases", ErrRefused, maxBases)
	}
	files, err := w.config.Bases.Fetch(ctx, b)
	if err != nil {
		return "", err
	}
	if info, err := fs.Stat(files, folder); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%w: %s has no folder %s", ErrRefused, b, folder)
	}
	root := "/" + b.String()
	if _, known := w.files.bases[root]; !known {
		if w.files.held += files.Size(); w.files.held > maxBaseBytes {
			return "", fmt.Errorf("%w: the remote bases of the kustomization are larger than %d MiB together", ErrRefused, maxBaseBytes>>20)
		}
	}
	w.files.bases[root] = files
	return path.Join(root, folder), nil
}

// answerFromBase answers a question about a base that was fetched. Nothing in it is decrypted: whoever
// wrote it is nobody's author here.
func (s *server) answerFromBase(root string, ask wire.Ask) (wire.Answer, []byte) {
	files, fetched := s.bases[root]
	below := strings.TrimPrefix(strings.TrimPrefix(ask.Path, root), "/")
	if below == "" {
		below = "."
	}
	if !fetched || !fs.ValidPath(below) {
		return wire.Answer{Refused: "leads out of the repository"}, nil
	}
	answer, data := look(files, wire.Ask{Op: ask.Op, Path: below})
	answer.Path = ask.Path
	return answer, data
}
