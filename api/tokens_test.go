package api

import (
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	restclient "k8s.io/client-go/rest"

	"writ/manifest"
	"writ/pki"
	"writ/runtime/token"
	"writ/state"
)

// A token is good while it holds, for who it was made for, and as long as its account and its pod are there.
func TestTokens(t *testing.T) {
	r := newRig(t)
	pod := &corev1.Pod{ObjectMeta: meta("web", "p"), Spec: corev1.PodSpec{ServiceAccountName: "app", Containers: []corev1.Container{{Name: "main", Image: "x"}}}}
	bindings := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "web", Name: "app"}}
	for _, o := range []manifest.Object{
		&corev1.ServiceAccount{ObjectMeta: meta("web", "app")}, pod, configMap("web", "a", "1"),
		&rbacv1.RoleBinding{ObjectMeta: meta("web", "app"), Subjects: bindings, RoleRef: roleRef("ClusterRole", "view")},
	} {
		r.decide(nil, put(o))
	}
	uid := func(ref manifest.Ref) string { return string(r.store.World().Get(ref).UID) }
	account := token.Object{Name: "app", UID: uid(manifest.ServiceAccountRef("web", "app"))}
	bound := token.Object{Name: "p", UID: uid(manifest.PodRef("web", "p"))}
	foreign, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	made := func(keys *pki.Keys, at time.Time, change func(*token.Request)) string {
		i, err := token.New(keys.Account)
		if err != nil {
			t.Fatal(err)
		}
		request := token.Request{Namespace: "web", Account: account, Pod: bound, Issuer: issuer, Seconds: 3600}
		change(&request)
		issued, err := i.Issue(request, at)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Text
	}
	as := func(text string) error {
		c := restclient.AnonymousClientConfig(r.as(""))
		c.BearerToken = text
		return second(r.client(c).CoreV1().ConfigMaps("web").Get(t.Context(), "a", metav1.GetOptions{}))
	}
	same := func(*token.Request) {}
	good := made(r.keys, time.Now(), same)
	if err := as(good); err != nil {
		t.Errorf("a good token: %v", err)
	}
	parts := strings.Split(good, ".")
	for what, text := range map[string]string{
		"one that is over":          made(r.keys, time.Now().Add(-2*time.Hour), same),
		"another key's":             made(foreign, time.Now(), same),
		"another issuer's":          made(r.keys, time.Now(), func(r *token.Request) { r.Issuer = "https://elsewhere" }),
		"for another audience":      made(r.keys, time.Now(), func(r *token.Request) { r.Audience = "vault" }),
		"of an account that was":    made(r.keys, time.Now(), func(r *token.Request) { r.Account.UID = "gone" }),
		"of no account":             made(r.keys, time.Now(), func(r *token.Request) { r.Account.Name = "none" }),
		"of a pod that was":         made(r.keys, time.Now(), func(r *token.Request) { r.Pod.UID = "gone" }),
		"of another namespace":      made(r.keys, time.Now(), func(r *token.Request) { r.Namespace = "other" }),
		"with its signature cut":    parts[0] + "." + parts[1] + ".",
		"with no algorithm":         "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"with a symmetric one":      "eyJhbGciOiJIUzI1NiJ9." + parts[1] + "." + parts[2],
		"with another's claims":     parts[0] + "." + strings.Split(made(foreign, time.Now(), func(r *token.Request) { r.Seconds = 7200 }), ".")[1] + "." + parts[2],
		"no token":                  "x",
		"a token of a million dots": strings.Repeat(".", 500_000),
	} {
		if err := as(text); err == nil || !apierrors.IsUnauthorized(err) && len(text) < 1000 {
			t.Errorf("%s: %v", what, err)
		}
	}
	asked, err := r.admin().CoreV1().ServiceAccounts("web").CreateToken(t.Context(), "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := as(asked.Status.Token); err != nil {
		t.Errorf("a token that was asked for: %v", err)
	}
	review, err := r.admin().AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: good}}, metav1.CreateOptions{})
	if err != nil || !review.Status.Authenticated || review.Status.User.Username != "system:serviceaccount:web:app" {
		t.Errorf("the review of a good token: %v, %v", review, err)
	}
	r.decide([]state.Delete{{Ref: manifest.PodRef("web", "p")}})
	if err := as(good); !apierrors.IsUnauthorized(err) {
		t.Errorf("once its pod is gone: %v", err)
	}
	if err := as(asked.Status.Token); err != nil {
		t.Errorf("one that is bound to no pod, then: %v", err)
	}
	r.decide([]state.Delete{{Ref: manifest.ServiceAccountRef("web", "app")}})
	if err := as(asked.Status.Token); !apierrors.IsUnauthorized(err) {
		t.Errorf("once its account is gone: %v", err)
	}
}
