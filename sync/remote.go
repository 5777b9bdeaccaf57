package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// fetchTimeout bounds a whole look, however steadily the server sends.
const fetchTimeout = time.Hour

var errPartial = errors.New("the server sent only a part")

// remote is a repository behind http or ssh. Every look lists the references; only a reference
// that moved is fetched, in the same session.
type remote struct {
	cfg Config
	src source
}

// session is one conversation with a server; go-git's upload-pack session has these methods.
type session interface {
	AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error)
	UploadPack(context.Context, *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	io.Closer
}

func (r *remote) fetch(ctx context.Context, db *objects, known plumbing.Hash) (target, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	ctx, guard := watchSilence(ctx, r.cfg.Timeout)
	defer guard.stop()

	t, err := r.talk(ctx, guard, db, known)
	if errors.Is(err, errPartial) && !known.IsZero() {
		// The mirror lacks something that the server takes for granted. Ask for everything.
		t, err = r.talk(ctx, guard, db, plumbing.ZeroHash)
	}
	if err != nil && guard.fired() {
		err = errStalled
	}
	return t, err
}

func (r *remote) talk(ctx context.Context, guard *silence, db *objects, known plumbing.Hash) (target, error) {
	s, err := r.dial(ctx, guard)
	if err != nil {
		return target{}, err
	}
	defer s.Close()
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return target{}, err
	}
	t, wants, err := r.pick(adv)
	if err != nil {
		return target{}, err
	}
	if c, err := peel(db, t.hash); err == nil && (c.Hash == known || db.complete(c.TreeHash, db.treeOf(known)) == nil) {
		return t, nil
	}
	err = r.download(ctx, s, adv, wants, db, known)
	if err == nil {
		err = r.check(t, db, known)
	}
	return t, err
}

// trees are all in the mirror: the server sends the whole history.
func (r *remote) trees(db *objects) (objectSource, func(), error) { return db, func() {}, nil }

// check tells whether what was fetched is whole.
func (r *remote) check(t target, db *objects, known plumbing.Hash) error {
	c, err := peel(db, t.hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return problemf(RefMissing, "%s does not give out commit %s", r.src, t.hash)
	}
	if err != nil {
		return err
	}
	if err := db.complete(c.TreeHash, db.treeOf(known)); err != nil {
		return fmt.Errorf("%w: commit %s: %w", errPartial, c.Hash, err)
	}
	return nil
}

func (r *remote) dial(ctx context.Context, guard *silence) (session, error) {
	if r.src.kind == sourceSSH {
		return dialSSH(ctx, r.cfg, r.src, guard)
	}
	return dialHTTP(r.cfg, r.src, guard)
}

// pick finds the followed reference among those that the server has, and what to ask for. A commit
// hash is asked for by itself where the server allows it and it is not a tip, else it is looked for
// below all branches and tags.
func (r *remote) pick(adv *packp.AdvRefs) (target, []plumbing.Hash, error) {
	if plumbing.IsHash(r.cfg.Ref) {
		h := plumbing.NewHash(r.cfg.Ref)
		if adv.Capabilities.Supports(capability.AllowReachableSHA1InWant) ||
			adv.Capabilities.Supports("allow-any-sha1-in-want") || isTip(adv, h) {
			return target{hash: h}, []plumbing.Hash{h}, nil
		}
		return target{hash: h}, tips(adv), nil
	}
	for _, name := range candidates(r.cfg.Ref) {
		if h, ok := adv.References[name]; ok {
			return target{name: name, hash: h}, []plumbing.Hash{h}, nil
		}
	}
	if r.cfg.Ref == "" && adv.Head != nil {
		return target{name: headName(adv), hash: *adv.Head}, []plumbing.Hash{*adv.Head}, nil
	}
	return target{}, nil, missingRef(r.src, r.cfg.Ref)
}

// candidates are the full names that a short one may stand for, the first that exists wins.
func candidates(ref string) []string {
	switch {
	case ref == "":
		return nil
	case strings.HasPrefix(ref, "refs/"):
		return []string{ref}
	}
	return []string{"refs/heads/" + ref, "refs/tags/" + ref}
}

func missingRef(from source, ref string) *problem {
	if ref == "" {
		return problemf(RefMissing, "the HEAD of %s names no branch that exists", from)
	}
	return problemf(RefMissing, "%s has no branch or tag %s", from, ref)
}

func isTip(adv *packp.AdvRefs, h plumbing.Hash) bool {
	for _, tip := range adv.References {
		if tip == h {
			return true
		}
	}
	return false
}

func tips(adv *packp.AdvRefs) []plumbing.Hash {
	var hs []plumbing.Hash
	for name, h := range adv.References {
		if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
			hs = append(hs, h)
		}
	}
	plumbing.HashesSort(hs)
	return slices.Compact(hs)
}

// headName is the branch that the server says HEAD stands for.
func headName(adv *packp.AdvRefs) string {
	for _, v := range adv.Capabilities.Get(capability.SymRef) {
		if name, ok := strings.CutPrefix(v, "HEAD:"); ok {
			return name
		}
	}
	return "HEAD"
}

// download asks for wants and stores the pack that comes.
func (r *remote) download(ctx context.Context, s session, adv *packp.AdvRefs, wants []plumbing.Hash, db *objects, known plumbing.Hash) error {
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	if adv.Capabilities.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	req.Wants = wants
	req.Haves = db.recent(known)
	resp, err := s.UploadPack(ctx, req)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) {
		return nil
	}
	if err != nil {
		return err
	}
	defer resp.Close()
	pack := &limitedReader{r: demux(req.Capabilities, resp), left: r.cfg.MaxPack, limit: r.cfg.MaxPack}
	_, err = db.addPack(func(w io.Writer) error { return inspect(w, pack, r.cfg.MaxObject) })
	if err != nil {
		return err
	}
	return db.settle() // the server may be away when it is needed again
}

func demux(caps *capability.List, r io.Reader) io.Reader {
	switch {
	case caps.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case caps.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	}
	return r
}
