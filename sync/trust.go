package sync

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"writ/sync/signature"
)

const (
	maxUnverified = 10_000 // commits that are verified at once
	settingsFile  = "writ.yaml"
)

// Trust says whose commits are followed. Without files everybody's are.
type Trust struct {
	// Files are read at every look that finds a new commit, so keys can be added and withdrawn.
	Files signature.Files
	// HeadOnly asks for the signature of the newest commit only, not of those below it.
	HeadOnly bool
	// Adopted gives the hash of the commit in force, empty before the first: what is reachable from it
	// is trusted. Nil takes the one that was delivered last.
	Adopted func() string
	// Scopes gives spec.signers of the commit in force. Nil gives none.
	Scopes func() []signature.Scope
}

// verifier looks at the commits that a new one brings.
type verifier struct {
	db     *objects
	trust  *signature.Trust
	folder string // the followed folder of the newest commit, without links
	linked bool   // writ.yaml is a link there
	now    time.Time
	up     upstream
	from   objectSource // of directories, nil until one is asked for
	done   func()       // releases from
}

// verify tells who signed a commit that is complete in the mirror, or why it cannot be trusted. The
// signer is nil when no signature is asked for.
func (m *Mirror) verify(ctx context.Context, c *object.Commit) (*signature.Signer, error) {
	if !m.cfg.Trust.Files.Set() {
		return nil, nil
	}
	v, err := m.verifier(c)
	if err != nil {
		return nil, err
	}
	defer v.close()
	switch base := m.inForce(); base {
	case plumbing.ZeroHash:
		// What lies below the first commit is trusted with it: its hash stands for all of it.
		return v.first(c)
	case c.Hash:
		s, err := v.signer(c)
		if err != nil {
			return nil, nil // it was adopted when nobody asked
		}
		return &s, nil
	default:
		list, err := v.since(ctx, base, c)
		switch {
		case err != nil:
			return nil, err
		case m.cfg.Trust.HeadOnly:
			return v.head(ctx, base, c)
		}
		return v.all(ctx, base, c, list)
	}
}

// inForce is the commit that new ones must descend from, zero before the first.
func (m *Mirror) inForce() plumbing.Hash {
	if m.cfg.Trust.Adopted != nil {
		return plumbing.NewHash(m.cfg.Trust.Adopted())
	}
	return m.sent
}

func (m *Mirror) verifier(c *object.Commit) (*verifier, error) {
	trust, err := signature.Load(m.cfg.Trust.Files)
	if err == nil && m.cfg.Trust.Scopes != nil {
		trust, err = trust.WithScopes(m.cfg.Trust.Scopes())
	}
	if err != nil {
		return nil, &problem{Untrusted, "no commit can be verified", err}
	}
	at, err := findFolder(m.db, c.TreeHash, m.cfg.folder())
	if err != nil {
		return nil, err
	}
	settings, err := locate(m.db, c.TreeHash, at.path, settingsFile, false)
	return &verifier{
		db: m.db, trust: trust, folder: at.path, now: time.Now(), up: m.up,
		linked: err == nil && settings.mode == filemode.Symlink,
	}, nil
}

func (v *verifier) close() {
	if v.done != nil {
		v.done()
	}
}

// trees is where the directories of the new commits are.
func (v *verifier) trees() (objectSource, error) {
	var err error
	if v.from == nil {
		v.from, v.done, err = v.up.trees(v.db)
	}
	return v.from, err
}

// since lists what is new, and refuses a commit that does not come after base.
func (v *verifier) since(ctx context.Context, base plumbing.Hash, c *object.Commit) ([]*object.Commit, error) {
	list, follows, err := v.db.between(ctx, base, c.Hash, maxUnverified)
	if err == nil && follows {
		return list, nil
	}
	if err != nil { // also a rewritten branch may be too long to be listed
		if follows, walkErr := v.db.descends(ctx, c.Hash, base); walkErr != nil || follows {
			return nil, err
		}
	}
	if older, err := v.db.descends(ctx, base, c.Hash); err == nil && older {
		return nil, problemf(Rewritten, "commit %s is older than %s, which is in force; with trusted signers the branch only goes forward: revert with a new commit",
			short(c.Hash), short(base))
	}
	return nil, problemf(Rewritten, "commit %s does not descend from %s, which is in force; with trusted signers a rewritten branch is refused: put that commit back into its history",
		short(c.Hash), short(base))
}

// first verifies the first commit of all. Whoever signs it must be trusted for everything.
func (v *verifier) first(c *object.Commit) (*signature.Signer, error) {
	s, err := v.signer(c)
	if err != nil {
		return nil, err
	}
	if s.Scopes != nil {
		return nil, v.refuse(c, fmt.Errorf("key %s is trusted for %s only, and the first commit needs a key that the node trusts", s.Key, paths(s)))
	}
	return &s, nil
}

// head verifies the newest commit only. It answers for everything that differs from what is in force.
func (v *verifier) head(ctx context.Context, base plumbing.Hash, c *object.Commit) (*signature.Signer, error) {
	s, err := v.signer(c)
	if err != nil {
		return nil, err
	}
	whole := *c
	whole.ParentHashes = []plumbing.Hash{base}
	return &s, v.within(ctx, s, &whole)
}

// all verifies every new commit, the oldest first.
func (v *verifier) all(ctx context.Context, base plumbing.Hash, c *object.Commit, list []*object.Commit) (*signature.Signer, error) {
	var head *signature.Signer
	for _, each := range slices.Backward(list) {
		s, err := v.signer(each)
		if err == nil {
			err = v.within(ctx, s, each)
		}
		var refused *problem
		if errors.As(err, &refused) && refused.kind == Untrusted {
			// Where clocks were wrong a commit that is in force may be among them.
			if old, oldErr := v.db.descends(ctx, base, each.Hash); oldErr == nil && old {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if each.Hash == c.Hash {
			head = &s
		}
	}
	return head, nil
}

// signer verifies one commit.
func (v *verifier) signer(c *object.Commit) (signature.Signer, error) {
	raw, err := v.raw(c)
	if err != nil {
		return signature.Signer{}, err
	}
	s, err := v.trust.Verify(raw, c.Committer.When, v.now)
	if err != nil {
		return s, v.refuse(c, err)
	}
	return s, nil
}

// raw is the commit as it was signed. What is read of it here and elsewhere must not differ from what the
// signer saw: nothing may hide in the headers that no signature covers.
func (v *verifier) raw(c *object.Commit) ([]byte, error) {
	o, err := v.db.EncodedObject(plumbing.CommitObject, c.Hash)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", c.Hash, err)
	}
	raw, err := bytesOf(o)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", c.Hash, err)
	}
	payload, _, err := signature.Split(raw)
	if err != nil {
		return nil, v.refuse(c, err)
	}
	bare := &plumbing.MemoryObject{}
	bare.SetType(plumbing.CommitObject)
	_, _ = bare.Write(payload) // to memory
	signed, err := object.DecodeCommit(nil, bare)
	if err != nil || signed.TreeHash != c.TreeHash || !slices.Equal(signed.ParentHashes, c.ParentHashes) || signed.Message != c.Message ||
		signed.Author.String() != c.Author.String() || signed.Committer.String() != c.Committer.String() {
		return nil, v.refuse(c, errors.New("it holds something that its signature does not cover"))
	}
	return raw, nil
}

// within checks that a commit of a signer with scopes stays in them.
func (v *verifier) within(ctx context.Context, s signature.Signer, c *object.Commit) error {
	if s.Scopes == nil {
		return nil
	}
	settings := path.Join(v.folder, settingsFile)
	if v.linked {
		return v.refuse(c, fmt.Errorf("%s is a symbolic link; with that only keys that the node trusts are taken, not key %s", settings, s.Key))
	}
	from, err := v.trees()
	if err != nil {
		return err
	}
	var refused error
	err = changed(ctx, v.db, from, c, func(name string) error {
		switch {
		case name == settings:
			refused = fmt.Errorf("it changes %s, which needs a key that the node trusts, not key %s", name, s.Key)
		case !slices.ContainsFunc(s.Scopes, func(scope signature.Scope) bool { return scope.Match(v.folder, name) }):
			refused = fmt.Errorf("it changes %s, and key %s (%s) is trusted for %s only", name, s.Key, s.Name, paths(s))
		}
		return refused
	})
	if refused != nil {
		return v.refuse(c, refused)
	}
	return err
}

func paths(s signature.Signer) string {
	var all []string
	for _, scope := range s.Scopes {
		all = append(all, scope.Path)
	}
	return strings.Join(all, ", ")
}

func (v *verifier) refuse(c *object.Commit, why error) *problem {
	return &problem{Untrusted, fmt.Sprintf("commit %s by %s <%s> is not trusted", short(c.Hash), printable(c.Author.Name), printable(c.Author.Email)), why}
}

func short(h plumbing.Hash) string { return h.String()[:12] }
