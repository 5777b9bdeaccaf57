package sync

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// minAbbreviation is how short a hash may be, as for git.
const minAbbreviation = 4

// revision finds the commit that rev names as gitrevisions(7) says: a reference by its full or short
// name, a hash or the beginning of one, each with any number of ~N and ^N behind.
func revision(st *filesystem.Storage, from objectSource, rev string) (*object.Commit, error) {
	name, steps := rev, ""
	if i := strings.IndexAny(rev, "~^"); i >= 0 {
		name, steps = rev[:i], rev[i:]
	}
	h, err := named(st, from, name)
	if err != nil {
		return nil, err
	}
	commit, err := peel(from, h)
	for err == nil && steps != "" {
		digits := len(steps[1:]) - len(strings.TrimLeft(steps[1:], "0123456789"))
		n, number := 1, steps[1:1+digits]
		if number != "" {
			if n, err = strconv.Atoi(number); err != nil {
				return nil, errNoRevision
			}
		}
		parent := 0
		if steps[0] == '^' {
			parent, n = n-1, 1
		}
		if steps = steps[1+digits:]; steps != "" && steps[0] != '~' && steps[0] != '^' {
			return nil, errNoRevision
		}
		for ; err == nil && n > 0 && parent >= 0; n-- {
			if parent >= len(commit.ParentHashes) {
				return nil, errNoRevision
			}
			commit, err = peel(from, commit.ParentHashes[parent])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", rev, err)
	}
	return commit, nil
}

var errNoRevision = errors.New("there is no such commit")

// named is what a reference or a hash without steps says.
func named(st *filesystem.Storage, from objectSource, name string) (plumbing.Hash, error) {
	if plumbing.IsHash(name) {
		h := plumbing.NewHash(name)
		if _, err := from.EncodedObject(plumbing.AnyObject, h); err != nil {
			return h, errNoRevision
		}
		return h, nil
	}
	for _, rule := range plumbing.RefRevParseRules {
		ref, err := storer.ResolveReference(st, plumbing.ReferenceName(fmt.Sprintf(rule, name)))
		if err == nil && !ref.Hash().IsZero() {
			return ref.Hash(), nil
		}
	}
	return abbreviated(st, from, name)
}

// abbreviated finds the one commit whose hash begins so.
func abbreviated(st *filesystem.Storage, from objectSource, name string) (plumbing.Hash, error) {
	prefix, err := hex.DecodeString(name[:len(name)&^1])
	if len(name) < minAbbreviation || err != nil {
		return plumbing.ZeroHash, errNoRevision
	}
	all, err := st.HashesWithPrefix(prefix)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	var found []plumbing.Hash
	for _, h := range all {
		if !strings.HasPrefix(h.String(), strings.ToLower(name)) {
			continue
		}
		if _, err := peel(from, h); err == nil {
			found = append(found, h)
		}
	}
	switch len(found) {
	case 0:
		return plumbing.ZeroHash, errNoRevision
	case 1:
		return found[0], nil
	}
	return plumbing.ZeroHash, fmt.Errorf("%s may be any of %d commits", name, len(found))
}
