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

	"writ/sync/signature"
)

// Commit is one commit of the followed repository. It is immutable and stays readable as long as
// its Mirror's folder exists.
type Commit struct {
	Hash string
	// Tree identifies the content of the followed folder: two commits with equal Tree hold the same
	// files, also behind links that lead out of the folder. Without links it is git's hash.
	Tree    string
	Parents []string
	// Author, Email and When (of the commit, not of the authoring) are what the commit claims.
	// They and Subject are safe to show on a terminal, Message is not.
	Author, Email string
	When          time.Time
	// Subject is the first line of Message.
	Subject, Message string
	// Trailers of the message; see Trailer.
	Trailers map[string][]string
	// Rewritten says that this commit does not descend from the one received before it: the
	// branch was forced elsewhere, or another repository or branch is followed now.
	Rewritten bool
	// Signer is who signed the commit, nil unless Config.Trust asks for signatures.
	Signer *signature.Signer
	// FS is the followed folder. Its FileInfo.Sys() has a method ContentID() string: equal IDs
	// are equal files or equal whole directories. Links that stay in the repository are followed; an
	// error about one that cannot be is a *LinkError. It is safe for concurrent use.
	FS fs.FS
	// Repository is the whole commit, of which FS is a part, and Root git's hash of it.
	Repository fs.FS
	Root       string
}

// Trailer is the values of a trailer, whatever the case of its key.
func (c Commit) Trailer(key string) []string {
	return c.Trailers[textproto.CanonicalMIMEHeaderKey(key)]
}

// newCommit makes the deliverable form of a commit in the mirror.
func newCommit(db *objects, c *object.Commit, folder string) (Commit, error) {
	at, err := findFolder(db, c.TreeHash, folder)
	if err != nil {
		return Commit{}, err
	}
	files := &treeFS{db: db, root: c.TreeHash, at: at.path, when: c.Committer.When, ids: map[string]string{}}
	id, err := files.identify(at)
	if err != nil {
		return Commit{}, err
	}
	out := Commit{
		Hash:     c.Hash.String(),
		Tree:     id,
		Author:   printable(c.Author.Name),
		Email:    printable(c.Author.Email),
		When:     c.Committer.When,
		Subject:  subject(c),
		Message:  c.Message,
		Trailers: parseTrailers(c.Message),
		FS:       files,

		Repository: &treeFS{db: db, root: c.TreeHash, at: ".", when: c.Committer.When, ids: map[string]string{}},
		Root:       c.TreeHash.String(),
	}
	for _, p := range c.ParentHashes {
		out.Parents = append(out.Parents, p.String())
	}
	return out, nil
}

// subject is the first line of a commit's message, safe to show.
func subject(c *object.Commit) string {
	line, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return printable(strings.TrimSpace(line))
}

// findFolder is the followed folder, which may be a link to one. A folder that is not there is a
// problem, never an empty tree.
func findFolder(db *objects, root plumbing.Hash, folder string) (place, error) {
	at, err := locate(db, root, ".", folder, true)
	var link *LinkError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return at, problemf(PathMissing, "folder %s is not in the commit", folder)
	case errors.As(err, &link), errors.Is(err, errSubmodule):
		return at, &problem{PathMissing, "folder " + folder + " cannot be read", err}
	case err != nil:
		return at, err
	case at.mode != filemode.Dir:
		return at, problemf(PathMissing, "%s is not a folder in the commit", folder)
	}
	return at, nil
}
