package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Pull asks the registry what the reference is now, and fetches what is missing here.
// Callers of one namespace with the same secrets share one pull. Errors have a kind:
// see ErrNotFound and its neighbours. It blocks for as long as data comes.
func (s *Store) Pull(ctx context.Context, reference string, access Access) (Image, error) {
	r, err := parseRef(reference)
	if err != nil {
		return Image{}, err
	}
	img, err := s.pulls.do(ctx, r.full+" "+access.key(), func(ctx context.Context) (Image, error) {
		return s.pull(ctx, r, access)
	})
	if err != nil {
		return Image{}, fmt.Errorf("pull %s: %w", r.full, err)
	}
	return img, nil
}

// key tells callers apart that may get different answers.
func (a Access) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q", a.Namespace)
	for _, s := range a.Secrets {
		fmt.Fprintf(h, "%q", s.Data)
	}
	return string(h.Sum(nil))
}

// pull tries each credential that fits until one is accepted; without any, it asks
// as anybody.
func (s *Store) pull(ctx context.Context, r ref, access Access) (Image, error) {
	var img Image
	err := s.withCredentials(r, access, func(auth authn.Authenticator, p proof) error {
		var err error
		img, err = s.pullAs(ctx, r, auth, p)
		return err
	})
	return img, err
}

func (s *Store) withCredentials(r ref, access Access, try func(authn.Authenticator, proof) error) error {
	creds, err := access.credentials(r)
	if err != nil {
		return err
	}
	if len(creds) == 0 {
		return classify(try(authn.Anonymous, proof{Anonymous: true}))
	}
	var refused []error
	for _, c := range creds {
		err := classify(try(authn.FromConfig(c), proof{Namespaces: []string{access.Namespace}}))
		if err == nil || !errors.Is(err, ErrUnauthorized) {
			return err
		}
		refused = append(refused, err)
	}
	return errors.Join(refused...)
}

func (s *Store) pullAs(ctx context.Context, r ref, auth authn.Authenticator, p proof) (Image, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	puller, err := s.registry.puller(r, auth)
	if err != nil {
		return Image{}, err
	}
	b, img, err := s.ask(ctx, cancel, puller, r, p)
	if err != nil || img.ID != "" {
		return img, orCause(ctx, err)
	}
	id, rec, unpin, err := s.take(ctx, b)
	defer unpin()
	if err != nil {
		return Image{}, orCause(ctx, err)
	}
	err = s.update(func(x *index) {
		x.put(id, rec)
		addNames(x.Pulled, r.full, r.repository, id, b.digests)
		x.prove(r, b.digests, p)
	})
	if err != nil {
		return Image{}, err
	}
	s.log.Info("image pulled", "image", r.full, "digest", b.digests[0], "bytes", rec.Size)
	return s.pulledImage(r)
}

// ask gives the image if it is here and still what the reference stands for, or else
// what is to be fetched.
func (s *Store) ask(ctx context.Context, cancel context.CancelCauseFunc, puller *remote.Puller, r ref, p proof) (bundle, Image, error) {
	ctx, done := context.WithTimeoutCause(ctx, s.patience.documents, errSilent)
	defer done()
	img, ok, err := s.unchanged(ctx, puller, r, p)
	if ok || err != nil {
		return bundle{}, img, orCause(ctx, err)
	}
	b, err := s.fetch(ctx, cancel, puller, r)
	return b, Image{}, orCause(ctx, err)
}

// orCause prefers why the pull was given up to what that looked like below.
func orCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// unchanged asks for the digest alone when the image is here already. That is also
// the proof that this caller may have it.
func (s *Store) unchanged(ctx context.Context, puller *remote.Puller, r ref, p proof) (Image, bool, error) {
	have, ok := s.current.Load().Pulled[r.full]
	if !ok {
		return Image{}, false, nil
	}
	name, err := r.remote(r.full)
	if err != nil {
		return Image{}, false, err
	}
	d, err := puller.Head(ctx, name)
	if err != nil || d.Digest.String() != have.Digest {
		return Image{}, false, nil // the full request will say what is wrong, in more words
	}
	if err := s.proven(r, have.Digest, p); err != nil {
		return Image{}, false, err
	}
	img, err := s.pulledImage(r)
	return img, err == nil, err
}

func (s *Store) pulledImage(r ref) (Image, error) {
	x := s.current.Load()
	img, ok := x.image(r, x.Pulled[r.full], false)
	if !ok {
		return Image{}, fmt.Errorf("%w: %s was removed while it was pulled", ErrStorage, r.full)
	}
	return img, nil
}

// fetch reads manifest and configuration, which the registry client holds against
// their digests. Layers are opened later.
func (s *Store) fetch(ctx context.Context, cancel context.CancelCauseFunc, puller *remote.Puller, r ref) (bundle, error) {
	name, err := r.remote(r.full)
	if err != nil {
		return bundle{}, err
	}
	desc, err := puller.Get(ctx, name)
	if err != nil {
		return bundle{}, err
	}
	b := bundle{digests: []string{desc.Digest.String()}}
	if desc.MediaType.IsIndex() {
		if desc, err = s.fetchChild(ctx, puller, r, desc); err != nil {
			return bundle{}, err
		}
		b.digests = append(b.digests, desc.Digest.String())
	}
	if !desc.MediaType.IsImage() {
		return bundle{}, fmt.Errorf("%w: it is a %s, not an image", ErrCorrupt, desc.MediaType)
	}
	img, err := desc.Image()
	if err != nil {
		return bundle{}, err
	}
	man, err := img.Manifest()
	if err != nil {
		return bundle{}, fmt.Errorf("read manifest: %w: %w", ErrCorrupt, err)
	}
	if man.Config.Size < 0 || man.Config.Size > s.limits.document {
		return bundle{}, fmt.Errorf("%w: configuration of %d bytes", ErrCorrupt, man.Config.Size)
	}
	if b.config, err = img.RawConfigFile(); err != nil {
		return bundle{}, fmt.Errorf("read image configuration: %w", classify(err))
	}
	b.layers, err = s.remoteLayers(ctx, cancel, puller, r, man)
	return b, err
}

func (s *Store) fetchChild(ctx context.Context, puller *remote.Puller, r ref, list *remote.Descriptor) (*remote.Descriptor, error) {
	idx, err := list.ImageIndex()
	if err != nil {
		return nil, err
	}
	man, err := idx.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read manifest list: %w: %w", ErrCorrupt, err)
	}
	child, err := choose(man)
	if err != nil {
		return nil, err
	}
	name, err := r.remote(r.at(child.Digest.String()))
	if err != nil {
		return nil, err
	}
	return puller.Get(ctx, name)
}

func (s *Store) remoteLayers(ctx context.Context, cancel context.CancelCauseFunc, puller *remote.Puller, r ref, man *v1.Manifest) ([]blob, error) {
	out := make([]blob, len(man.Layers))
	for i, l := range man.Layers {
		name, err := r.remote(r.at(l.Digest.String()))
		if err != nil {
			return nil, err
		}
		digest, err := asDigest(name)
		if err != nil {
			return nil, err
		}
		out[i] = blob{size: l.Size, source: r.domain, open: func(ctx context.Context) (io.ReadCloser, error) {
			layer, err := puller.Layer(ctx, digest)
			if err != nil {
				return nil, classify(err)
			}
			rc, err := layer.Compressed()
			if err != nil {
				return nil, classify(err)
			}
			return watch(rc, s.patience.silence, cancel), nil
		}}
	}
	return out, nil
}
