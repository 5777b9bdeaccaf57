package access

import (
	"context"
	"crypto/ecdsa"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/kubernetes/pkg/serviceaccount"

	"writ/manifest"
	"writ/state"
)

// NewTokens tells whose ServiceAccount's a token is: one that the key signed for this issuer, that holds, and whose account,
// and pod if it is bound to one, are there.
func NewTokens(worlds Worlds, key *ecdsa.PublicKey, issuer string) (authenticator.Token, error) {
	keys, err := serviceaccount.StaticPublicKeysGetter([]any{key})
	if err != nil {
		return nil, fmt.Errorf("read the key of tokens: %w", err)
	}
	validator := serviceaccount.NewValidator(bound{worlds})
	return serviceaccount.JWTTokenAuthenticator([]string{issuer}, keys, authenticator.Audiences{issuer}, validator), nil
}

// bound finds what a token is bound to.
type bound struct{ worlds Worlds }

func find[T manifest.Object](b bound, ref manifest.Ref, resource string) (none T, err error) {
	var r *state.Record
	if r = b.worlds.World().Get(ref); r == nil {
		return none, apierrors.NewNotFound(schema.GroupResource{Resource: resource}, ref.Name)
	}
	o, ok := r.Full().(T)
	if !ok {
		return none, fmt.Errorf("%s is a %T", ref, r.Object)
	}
	return o, nil
}

func (b bound) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return find[*corev1.ServiceAccount](b, manifest.ServiceAccountRef(namespace, name), "serviceaccounts")
}

func (b bound) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return find[*corev1.Pod](b, manifest.PodRef(namespace, name), "pods")
}

func (b bound) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return find[*corev1.Secret](b, manifest.SecretRef(namespace, name), "secrets")
}

func (b bound) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return find[*corev1.Node](b, manifest.NodeRef(name), "nodes")
}
