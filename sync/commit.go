package sync

import (
	"errors"
	"io/fs"
	"net/textproto"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Commit is one commit of the followed repository. It is immutable and stays readable as long as
// its Mirror's folder exists.
type Commit struct {
	Hash string
	// Tree is the hash of the followed folder: two commits with equal Tree hold the same files.
	Tree    string
	Parents []string
	// Author, Email and When (of the commit, not of the authoring) are what the commit claims.
	Author, Email string
	When          time.Time
	// Subject is the first line of Message.
	Subject, Message string
	// Trailers of the message; see Trailer.
	Trailers map[string][]string
	// Rewritten says that this commit does not descend from the one received before it: the
	// branch was forced elsewhere, or another repository or branch is followed now.
	Rewritten bool
	// FS is the followed folder. Its FileInfo.Sys() has a method ContentID() string: equal IDs
	// are equal files or equal whole directories. It is safe for concurrent use.
	FS fs.FS
}

// Trailer is the values of a trailer, whatever the case of its key.
func (c Commit) Trailer(key string) []string {
	return c.Trailers[textproto.CanonicalMIMEHeaderKey(key)]
}

// newCommit makes the deliverable form of a commit in the mirror.
func newCommit(db *objects, c *object.Commit, folder string) (Commit, error) {
	root, err := findFolder(db, c.TreeHash, folder)
	if err != nil {
		return Commit{}, err
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	out := Commit{
		Hash:     c.Hash.String(),
		Tree:     root.String(),
		Author:   c.Author.Name,
		Email:    c.Author.Email,
		When:     c.Committer.When,
		Subject:  strings.TrimSpace(subject),
		Message:  c.Message,
		Trailers: parseTrailers(c.Message),
		FS:       &treeFS{db: db, root: root, when: c.Committer.When},
	}
	for _, p := range c.ParentHashes {
		out.Parents = append(out.Parents, p.String())
	}
	return out, nil
}

// findFolder is the tree of the followed folder. A folder that is not there is a problem, never an
// empty tree.
func findFolder(db *objects, root plumbing.Hash, folder string) (plumbing.Hash, error) {
	if folder == "." {
		return root, nil
	}
	e, err := lookup(db, root, folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return plumbing.ZeroHash, problemf(PathMissing, "folder %s is not in the commit", folder)
	case err != nil:
		return plumbing.ZeroHash, err
	case e.mode == filemode.Symlink:
		return plumbing.ZeroHash, problemf(PathMissing, "%s is a symbolic link, which is not followed", folder)
	case e.mode != filemode.Dir:
		return plumbing.ZeroHash, problemf(PathMissing, "%s is not a folder in the commit", folder)
	}
	return e.hash, nil
}
