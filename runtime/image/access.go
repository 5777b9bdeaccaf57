package image

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"
)

// NeedsPull says what a pull policy asks for, given what Resolve found. An archive
// answers for the tags it names under any policy: it takes the registry's place.
func NeedsPull(policy corev1.PullPolicy, img Image, found bool) bool {
	switch policy {
	case corev1.PullNever:
		return false
	case corev1.PullAlways:
		return !found || !img.FromArchive
	}
	return !found
}

// Ensure gives a container its image: found here and allowed, or pulled, or refused.
// It is Resolve, NeedsPull, Allowed, Verify and Pull in their one right order. Unlike
// in Kubernetes, policy Always is content with the image that is here while the
// registry is away, if this namespace may have it: a pod must come back after a
// reboot. Image.Unasked then says so.
func (s *Store) Ensure(ctx context.Context, reference string, policy corev1.PullPolicy, access Access) (Image, error) {
	if _, err := parseRef(reference); err != nil {
		return Image{}, err
	}
	img, found := s.Resolve(reference)
	if NeedsPull(policy, img, found) {
		pulled, err := s.Pull(ctx, reference, access)
		if err == nil {
			s.Use(pulled.ID)
		}
		if errors.Is(err, ErrUnavailable) && found && s.Allowed(img, access.Namespace) {
			// Policy Always, but nobody to ask: the node keeps running alone.
			s.log.Warn("image used unasked", "image", img.Ref, "digest", img.Digest, "err", err)
			img.Unasked = true
			s.Use(img.ID)
			return img, nil
		}
		return pulled, err
	}
	if !found {
		return Image{}, fmt.Errorf("find %s: %w", reference, ErrNeverPull)
	}
	if !s.Allowed(img, access.Namespace) {
		if err := s.Verify(ctx, img, access); err != nil {
			return img, asPolicySays(policy, reference, err)
		}
	}
	s.Use(img.ID)
	return img, nil
}

// asPolicySays hides that an image is here which may not be used: with policy Never it looks as if it
// were not.
func asPolicySays(policy corev1.PullPolicy, reference string, err error) error {
	if policy == corev1.PullNever && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("find %s: %w", reference, ErrNeverPull)
	}
	return err
}

// Allowed says whether the namespace may use an image that is here, from what is
// known without asking: it came from an archive, the registry serves it to anybody,
// or the namespace's own secrets were accepted for it before.
func (s *Store) Allowed(img Image, namespace string) bool {
	return img.FromArchive || s.current.Load().Proofs[img.Repository+"@"+img.Digest].covers(namespace)
}

// Verify asks the registry whether these secrets, or anybody if there are none, may
// have an image that is here. Nothing is downloaded; the answer is remembered.
func (s *Store) Verify(ctx context.Context, img Image, access Access) error {
	if s.Allowed(img, access.Namespace) {
		return nil
	}
	r, err := parseRef(img.Repository + "@" + img.Digest)
	if err != nil {
		return err
	}
	ctx, after := withAfter(ctx)
	ctx, done := context.WithTimeoutCause(ctx, s.patience.documents, errSilent)
	defer done()
	err = s.registry.tryAll(r, func(src ref) error {
		return s.withCredentials(ctx, src, access, func(auth authn.Authenticator, p proof) error {
			puller, err := s.registry.puller(src, auth)
			if err != nil {
				return err
			}
			if _, err := (&fetch{registry: s.registry, puller: puller, src: src}).head(ctx); err != nil {
				return orCause(ctx, err)
			}
			return s.proven(r, img.Digest, p)
		})
	})
	if err = after(err); err != nil {
		return fmt.Errorf("check that namespace %s may use %s: %w", access.Namespace, img.Ref, err)
	}
	return nil
}

// proven remembers a proof, if it is news.
func (s *Store) proven(r ref, digest string, p proof) error {
	if known := s.current.Load().Proofs[r.at(digest)]; known.merge(p).equal(known) {
		return nil
	}
	return s.update(func(x *index) { x.prove(r, []string{digest}, p) })
}

func (x *index) prove(r ref, digests []string, p proof) {
	for _, d := range digests {
		x.Proofs[r.at(d)] = x.Proofs[r.at(d)].merge(p)
	}
}

func (p proof) merge(q proof) proof {
	out := proof{Anonymous: p.Anonymous || q.Anonymous, Namespaces: slices.Clone(p.Namespaces)}
	for _, n := range q.Namespaces {
		if !slices.Contains(out.Namespaces, n) {
			out.Namespaces = append(out.Namespaces, n)
		}
	}
	slices.Sort(out.Namespaces)
	return out
}

func (p proof) equal(q proof) bool {
	return p.Anonymous == q.Anonymous && slices.Equal(p.Namespaces, q.Namespaces)
}
