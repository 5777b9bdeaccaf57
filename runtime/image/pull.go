package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
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
		ctx, after := withAfter(ctx)
		img, err := s.pull(ctx, r, access)
		return img, after(err)
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

// pull tries each source, and there each credential that fits until one is accepted.
func (s *Store) pull(ctx context.Context, r ref, access Access) (Image, error) {
	var img Image
	err := s.registry.tryAll(r, func(src ref) error {
		return s.withCredentials(ctx, src, access, func(auth authn.Authenticator, p proof) error {
			var err error
			img, err = s.pullAs(ctx, r, src, auth, p)
			return err
		})
	})
	return img, err
}

// withCredentials tries each credential until the registry accepts one; without any, it asks as anybody.
// Registries hide what they refuse behind "not found", so that is no reason to stop.
func (s *Store) withCredentials(ctx context.Context, src ref, access Access, try func(authn.Authenticator, proof) error) error {
	creds, trouble, err := s.registry.credentials(ctx, src, access)
	if err != nil {
		return err
	}
	if len(creds) == 0 {
		err := classify(try(authn.Anonymous, proof{Anonymous: true}))
		if trouble != nil && errors.Is(err, ErrUnauthorized) {
			return fmt.Errorf("%w (%w)", err, trouble)
		}
		return err
	}
	var refused []error
	for i := range creds {
		err := classify(try(authn.FromConfig(creds[i].config), creds[i].proof(access.Namespace)))
		if err == nil || !errors.Is(err, ErrUnauthorized) && !errors.Is(err, ErrNotFound) {
			return err
		}
		refused = append(refused, err)
	}
	return worst(refused)
}

// worst is one error of several: the registry refused, if it did so once.
func worst(refused []error) error {
	var texts []error
	for _, err := range refused {
		if errors.Is(err, ErrUnauthorized) {
			texts = append(texts, err)
		}
	}
	if len(texts) == 0 {
		texts = refused[:1]
	}
	return errors.Join(texts...)
}

// pullAs pulls r from a source, which is its own registry or a mirror, with one credential.
func (s *Store) pullAs(ctx context.Context, r, src ref, auth authn.Authenticator, p proof) (Image, error) {
	puller, err := s.registry.puller(src, auth)
	if err != nil {
		return Image{}, err
	}
	f := &fetch{registry: s.registry, puller: puller, src: src, limits: s.limits}
	b, img, err := s.ask(ctx, f, r, p)
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
	s.log.Info("image pulled", "image", r.full, "from", src.domain, "digest", b.digests[0], "bytes", rec.Size)
	return s.pulledImage(r)
}

// ask gives the image if it is here and still what the reference stands for, or else
// what is to be fetched.
func (s *Store) ask(ctx context.Context, f *fetch, r ref, p proof) (bundle, Image, error) {
	parent := ctx
	ctx, done := context.WithTimeoutCause(ctx, s.patience.documents, errSilent)
	defer done()
	img, ok, err := s.unchanged(ctx, f, r, p)
	if ok || err != nil {
		return bundle{}, img, orCause(ctx, err)
	}
	b, err := f.bundle(ctx, parent)
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
func (s *Store) unchanged(ctx context.Context, f *fetch, r ref, p proof) (Image, bool, error) {
	have, ok := s.current.Load().Pulled[r.full]
	if !ok {
		return Image{}, false, nil
	}
	digest, err := f.head(ctx)
	if err != nil || digest != have.Digest {
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

// head asks for the digest of what the source has under the reference. Nothing is downloaded.
func (f *fetch) head(ctx context.Context) (string, error) {
	name, err := f.registry.name(f.src.domain, f.src.full)
	if err != nil {
		return "", err
	}
	d, err := f.puller.Head(ctx, name)
	if err != nil {
		return "", err
	}
	return d.Digest.String(), nil
}

// fetch reads one image from one source with one credential.
type fetch struct {
	registry *registryClient
	puller   *remote.Puller
	src      ref
	limits   limits
}
