package sync

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

const (
	maxLinkHops = 40   // as in Linux, path_resolution(7)
	maxLinkText = 4096 // bytes of a link's target, PATH_MAX
)

// LinkError says why a symbolic link of a commit cannot be followed. It is never fs.ErrNotExist: a
// file that is meant to be there and cannot be read is not one that is absent.
type LinkError struct {
	Link   string // path from the root of the repository
	Target string // what the link says
	Why    string
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("symbolic link %s -> %s %s", e.Link, printable(e.Target), e.Why)
}

// place is an entry and where it really lies: path leads from the root of the repository to it
// through no link.
type place struct {
	path string
	entry
}

// walk finds places in a tree, the root of a repository. Links are followed as the kernel does, as long
// as they stay inside of the repository.
type walk struct {
	db   *objects
	real []place // from the root down to where the walk is
	todo []string
	open []hop // links whose target is not reached yet, the innermost last
	via  []hop // all links that were followed
}

// hop is a link on the way.
type hop struct {
	link, target string
	folder       string // where the link lies
	rest         int    // how much is to do once the target is reached
}

// locate finds name, slash-separated, from the folder start of the tree root. With follow it is what a
// link in the last place leads to, else the link itself.
func locate(db *objects, root plumbing.Hash, start, name string, follow bool) (place, error) {
	w := &walk{db: db, real: []place{{".", entry{".", filemode.Dir, root}}}, todo: append(steps(start), steps(name)...)}
	for {
		if err := w.arrive(); err != nil {
			return place{}, err
		}
		if len(w.todo) == 0 {
			return w.here(), nil
		}
		step := w.todo[0]
		w.todo = w.todo[1:]
		if err := w.step(step, follow || len(w.todo) > 0); err != nil {
			return place{}, err
		}
	}
}

// steps are the parts of a path that lead anywhere.
func steps(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." })
}

func (w *walk) here() place { return w.real[len(w.real)-1] }

// step goes into one entry of where the walk is, or up.
func (w *walk) step(name string, follow bool) error {
	here := w.here()
	switch {
	case here.mode == filemode.Submodule:
		return errSubmodule
	case here.mode != filemode.Dir:
		return w.missing()
	case name == ".." && len(w.real) == 1:
		return w.broken("leaves the repository")
	case name == "..":
		w.real = w.real[:len(w.real)-1]
		return nil
	}
	t, err := w.db.tree(here.hash)
	if err != nil {
		return err
	}
	e, ok := t.find(name)
	if !ok {
		return w.missing()
	}
	at := place{path.Join(here.path, name), e}
	if e.mode == filemode.Symlink && follow {
		return w.follow(at)
	}
	w.real = append(w.real, at)
	return nil
}

// follow puts what a link says before what is left to do.
func (w *walk) follow(at place) error {
	h := hop{link: at.path, folder: w.here().path, rest: len(w.todo)}
	size, err := w.db.blobSize(at.hash)
	if err != nil {
		return err
	}
	if size > maxLinkText {
		return &LinkError{at.path, "...", fmt.Sprintf("is %d bytes long", size)}
	}
	text, err := w.db.blob(at.hash)
	if err != nil {
		return err
	}
	h.target = string(text)
	w.open, w.via = append(w.open, h), append(w.via, h)
	switch {
	case h.target == "":
		return w.broken("is empty")
	case path.IsAbs(h.target):
		return w.broken("leaves the repository")
	case len(w.via) > maxLinkHops:
		return w.broken("loops")
	}
	w.todo = append(steps(h.target), w.todo...)
	return nil
}

// arrive looks at where links have led. One that leads to a folder above a link on the way, itself
// included, loops: whoever goes down there comes by the same links again and again.
func (w *walk) arrive() error {
	for len(w.open) > 0 && len(w.todo) <= w.open[len(w.open)-1].rest {
		if here := w.here(); here.mode == filemode.Dir {
			for _, h := range w.via {
				if here.path == "." || h.folder == here.path || strings.HasPrefix(h.folder, here.path+"/") {
					return w.broken("loops: it leads to a folder above")
				}
			}
		}
		w.open = w.open[:len(w.open)-1]
	}
	return nil
}

func (w *walk) missing() error {
	if len(w.open) == 0 {
		return fs.ErrNotExist
	}
	return w.broken("leads nowhere")
}

// broken blames the link that is being followed.
func (w *walk) broken(why string) error {
	if len(w.open) == 0 {
		return fs.ErrInvalid // a path that is no link's has no ".."
	}
	h := w.open[len(w.open)-1]
	return &LinkError{h.link, h.target, why}
}
