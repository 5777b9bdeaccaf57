package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

const issuer = "https://kubernetes.default.svc.cluster.local"

func newIssuer(t *testing.T) (*Issuer, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	return i, key
}

func request(audience string, seconds int64) Request {
	return Request{Namespace: "shop", Account: Object{"cart", "sa-uid"}, Pod: Object{"cart-1", "pod-uid"}, Node: Object{"n1", "node-uid"},
		Issuer: issuer, Audience: audience, Seconds: seconds}
}

// objects is what upstream's validator looks up.
type objects struct{ podUID types.UID }

func (o objects) GetServiceAccount(_ context.Context, ns, name string) (*corev1.ServiceAccount, error) {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: "sa-uid"}}, nil
}

func (o objects) GetPod(_ context.Context, ns, name string) (*corev1.Pod, error) {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: o.podUID}}, nil
}

func (o objects) GetSecret(context.Context, string, string) (*corev1.Secret, error) { return nil, nil }

func (o objects) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "node-uid"}}, nil
}

// Upstream's own API server takes the tokens, for their audience, Pod and time only.
func TestIssue_UpstreamVerifies(t *testing.T) {
	i, key := newIssuer(t)
	other, _ := newIssuer(t)
	keys, err := serviceaccount.StaticPublicKeysGetter([]any{&key.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, tt := range []struct {
		name     string
		by       *Issuer
		audience string
		asked    string
		made     time.Time
		pod      types.UID
		ok       bool
	}{
		{"good", i, "", issuer, now, "pod-uid", true},
		{"of an audience", i, "vault", "vault", now, "pod-uid", true},
		{"for another audience", i, "vault", issuer, now, "pod-uid", false},
		{"of another key", other, "", issuer, now, "pod-uid", false},
		{"of a pod that was replaced", i, "", issuer, now, "new-uid", false},
		{"expired", i, "vault", "vault", now.Add(-time.Hour), "pod-uid", false},
	} {
		made, err := tt.by.Issue(request(tt.audience, 600), tt.made)
		if err != nil {
			t.Fatal(err)
		}
		auth := serviceaccount.JWTTokenAuthenticator([]string{issuer}, keys, authenticator.Audiences{issuer}, serviceaccount.NewValidator(objects{tt.pod}))
		ctx := authenticator.WithAudiences(context.Background(), authenticator.Audiences{tt.asked})
		got, ok, err := auth.AuthenticateToken(ctx, made.Text)
		if ok != tt.ok {
			t.Errorf("%s: accepted %v, %v, want %v", tt.name, ok, err, tt.ok)
			continue
		}
		if !ok {
			continue
		}
		if u := got.User; u.GetName() != "system:serviceaccount:shop:cart" || u.GetUID() != "sa-uid" ||
			strings.Join(u.GetExtra()["authentication.kubernetes.io/pod-name"], "") != "cart-1" || strings.Join(u.GetExtra()["authentication.kubernetes.io/node-uid"], "") != "node-uid" {
			t.Errorf("%s: user is %+v", tt.name, u)
		}
	}
}

// Whoever has only what is published can verify, and sees upstream's claims.
func TestKeys(t *testing.T) {
	i, _ := newIssuer(t)
	now := time.Unix(1700000000, 0)
	made, err := i.Issue(request("", 3607), now)
	if err != nil {
		t.Fatal(err)
	}
	data, err := i.Keys()
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(data, &set); err != nil || strings.Contains(string(data), `"d"`) {
		t.Fatalf("key set %s, %v: want public keys", data, err)
	}
	parsed, err := jwt.ParseSigned(made.Text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims(set.Key(parsed.Headers[0].KeyID)[0], &claims); err != nil {
		t.Fatal(err)
	}
	if id, _ := claims["jti"].(string); len(id) != 36 {
		t.Errorf("jti is %q", id)
	}
	delete(claims, "jti")
	got, _ := json.Marshal(claims)
	want := `{"aud":["` + issuer + `"],"exp":1731536000,"iat":1700000000,"iss":"` + issuer + `","kubernetes.io":{"namespace":"shop","node":{"name":"n1","uid":"node-uid"},` +
		`"pod":{"name":"cart-1","uid":"pod-uid"},"serviceaccount":{"name":"cart","uid":"sa-uid"},"warnafter":1700003607},"nbf":1700000000,"sub":"system:serviceaccount:shop:cart"}`
	if string(got) != want {
		t.Errorf("claims are\n%s, want\n%s", got, want)
	}
}

func TestIssue_Refresh(t *testing.T) {
	i, _ := newIssuer(t)
	now := time.Unix(1700000000, 0)
	const longestAllowed = 1 << 32 // seconds, by Kubernetes' validation
	for seconds, want := range map[int64]time.Duration{600: 480 * time.Second, 3600: 48 * time.Minute, 7 * 24 * 3600: 24 * time.Hour, longestAllowed: 24 * time.Hour} {
		made, err := i.Issue(request("", seconds), now)
		if err != nil || made.Refresh.Sub(now) != want {
			t.Errorf("%d s: refreshed after %v, %v, want %v", seconds, made.Refresh.Sub(now), err, want)
		}
	}
	if _, err := i.Issue(request("", 599), now); err == nil {
		t.Error("599 seconds were allowed")
	}
	if made, err := i.Issue(request("", 600), time.Now()); err != nil || made.Refresh != made.Refresh.Round(0) {
		t.Errorf("refreshed at %v, %v, want a time of the clock on the wall", made.Refresh, err)
	}
}

func TestDiscovery(t *testing.T) {
	i, _ := newIssuer(t)
	got, err := i.Discovery(issuer)
	want := `{"issuer":"` + issuer + `","jwks_uri":"` + issuer + `/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}
