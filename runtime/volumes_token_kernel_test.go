//go:build kernel

package runtime

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/pki"
	"writ/runtime/token"
)

func tokenVolume(name, audience string, seconds int64) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: audience, ExpirationSeconds: &seconds}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
	}}}}
}

// A Pod carries a token of its account, bound to it, that whoever has the published keys can
// verify; it is made anew before it ends, and belongs to who runs in the Pod.
func TestVolumes_Token(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	keys, err := pki.Open(filepath.Join(b.dir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	if b.cfg.Tokens, err = token.New(keys.Account); err != nil {
		t.Fatal(err)
	}
	b.restart()
	user, group := int64(1000), int64(3000)
	b.world.adopt(t, b.cfg.Node, "c1",
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shop"}},
		pod("app", busyboxImage, volumes(func(p *corev1.Pod, _ *corev1.Container) {
			p.Spec.ServiceAccountName = "shop"
		}, tokenVolume("vault", "vault", 600), tokenVolume("api", "", 3607))),
		pod("user", busyboxImage, volumes(func(p *corev1.Pod, _ *corev1.Container) {
			p.Spec.ServiceAccountName = "shop"
			p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user}
		}, tokenVolume("api", "", 3607))),
		pod("group", busyboxImage, volumes(func(p *corev1.Pod, _ *corev1.Container) {
			p.Spec.ServiceAccountName = "shop"
			p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
		}, tokenVolume("api", "", 3607))))
	for _, name := range []string{"app", "user", "group"} {
		b.isReady(name)
	}
	b.prints("app", map[string]string{"stat -L -c %u:%a /api/token": "0:644\n", "cat /api/namespace": "default", "stat -f -c %T /api": "tmpfs\n"})
	b.prints("user", map[string]string{"stat -L -c %u:%a /api/token": "1000:600\n", "test -s /api/token && id -u": "1000\n"})
	b.prints("group", map[string]string{"stat -L -c %g:%a /api/token": "3000:640\n"})

	published, err := b.cfg.Tokens.Keys()
	if err != nil {
		t.Fatal(err)
	}
	rec := b.world.World().Get(manifest.PodRef("default", "app"))
	account := b.world.World().Get(manifest.ServiceAccountRef("default", "shop"))
	first := b.output("app", "cat", "/vault/token")
	c := verified(t, published, first)
	if c.Sub != "system:serviceaccount:default:shop" || strings.Join(c.Aud, " ") != "vault" || c.Exp-c.Iat != 600 || c.Kube.Pod.UID != string(rec.UID) || c.Kube.Pod.Name != "app" ||
		c.Kube.Account.UID != string(account.UID) || c.Kube.Node.Name != string(b.cfg.Node) || c.Kube.Namespace != "default" {
		t.Errorf("claims of the token for vault are %+v", c)
	}
	c = verified(t, published, b.output("app", "cat", "/api/token"))
	if c.Iss != "https://kubernetes.default.svc.cluster.local" || strings.Join(c.Aud, " ") != c.Iss || c.Exp-c.Iat != 365*24*3600 || c.Kube.WarnAfter-c.Iat != 3607 {
		t.Errorf("claims of the token for the API are %+v", c)
	}

	b.world.adopt(t, b.cfg.Node, "c2", &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"}})
	b.r.mu.Lock()
	w := b.r.workers[rec.UID]
	b.r.mu.Unlock()
	w.post(func() { // eight minutes have passed
		for key, held := range w.tokens {
			if key.audience == "vault" {
				held.Refresh = time.Now().Add(-time.Second)
				w.tokens[key] = held
			}
		}
		w.o.Refresh = w.refreshAt(time.Now().Add(-time.Minute))
	})
	for end := time.Now().Add(30 * time.Second); b.output("app", "cat", "/vault/token") == first; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the token is not made anew in 30 s")
		}
	}
	verified(t, published, b.output("app", "cat", "/vault/token"))
	for e := range b.secrets(first, b.output("app", "cat", "/vault/token")) {
		t.Errorf("a token is in %s", e)
	}
}

type tokenClaims struct {
	Iss  string   `json:"iss"`
	Sub  string   `json:"sub"`
	Aud  []string `json:"aud"`
	Exp  int64    `json:"exp"`
	Iat  int64    `json:"iat"`
	Kube struct {
		Namespace string       `json:"namespace"`
		Pod       token.Object `json:"pod"`
		Node      token.Object `json:"node"`
		Account   token.Object `json:"serviceaccount"`
		WarnAfter int64        `json:"warnafter"`
	} `json:"kubernetes.io"`
}

func verified(t *testing.T, published []byte, text string) tokenClaims {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(published, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var c tokenClaims
	if err := parsed.Claims(set.Key(parsed.Headers[0].KeyID)[0], &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// secrets finds texts that nobody is to read in the log and the events.
func (b *bed) secrets(texts ...string) map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := map[string]bool{}
	for _, text := range texts {
		if strings.Contains(b.logs.String(), text) {
			found["the log"] = true
		}
		for _, e := range b.events {
			if strings.Contains(e.Message, text) {
				found["event "+e.Reason] = true
			}
		}
	}
	return found
}

// A Pod whose account is gone waits with an event that says so.
func TestVolumes_TokenWithoutAccount(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	keys, err := pki.Open(filepath.Join(b.dir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	if b.cfg.Tokens, err = token.New(keys.Account); err != nil {
		t.Fatal(err)
	}
	b.restart()
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(func(p *corev1.Pod, _ *corev1.Container) { p.Spec.ServiceAccountName = "gone" }, tokenVolume("api", "", 3607))))
	if got, want := b.told("app", "FailedMount"), `MountVolume.SetUp failed for volume "api" : failed to fetch token: serviceaccounts "gone" not found`; got != want {
		t.Errorf("event is %q, want %q", got, want)
	}
}
