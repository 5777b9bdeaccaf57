package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"

	"writ/manifest"
	"writ/pki"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func subject(kind, name string) []rbacv1.Subject {
	return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}}
}

func roleRef(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

// A user sees what Roles of the repository and the roles of every cluster let it see, and nothing else.
func TestAccess_Roles(t *testing.T) {
	r := newRig(t)
	secret := &corev1.Secret{ObjectMeta: meta("web", "key")}
	named := &rbacv1.Role{ObjectMeta: meta("web", "one-map"), Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}, ResourceNames: []string{"a"}}}}
	mine := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "extra", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"list"}}}}
	var objects []manifest.Object
	objects = append(objects, configMap("web", "a", "1"), configMap("web", "b", "1"), configMap("other", "a", "1"), secret, named, mine,
		&rbacv1.RoleBinding{ObjectMeta: meta("web", "viewers"), Subjects: subject("Group", "web"), RoleRef: roleRef("ClusterRole", "view")},
		&rbacv1.RoleBinding{ObjectMeta: meta("web", "named"), Subjects: subject("User", "ned"), RoleRef: roleRef("Role", "one-map")},
		&rbacv1.RoleBinding{ObjectMeta: meta("web", "admins"), Subjects: subject("User", "ada"), RoleRef: roleRef("ClusterRole", "admin")},
		&rbacv1.RoleBinding{ObjectMeta: meta("web", "editors"), Subjects: subject("User", "eddy"), RoleRef: roleRef("ClusterRole", "edit")},
		&rbacv1.ClusterRoleBinding{ObjectMeta: meta("", "everywhere"), Subjects: subject("User", "eve"), RoleRef: roleRef("ClusterRole", "view")})
	for _, o := range objects {
		r.decide(nil, put(o))
	}
	viewer, ned, eve, nobody := r.client(r.as("mary", "web")), r.client(r.as("ned")), r.client(r.as("eve")), r.client(r.as("zoe"))
	get := func(c *kubernetes.Clientset, namespace, name string) error {
		_, err := c.CoreV1().ConfigMaps(namespace).Get(t.Context(), name, metav1.GetOptions{})
		return err
	}
	for what, test := range map[string]struct {
		err error
		may bool
	}{
		"a viewer in its namespace":             {get(viewer, "web", "a"), true},
		"a viewer elsewhere":                    {get(viewer, "other", "a"), false},
		"a viewer where nothing is":             {get(viewer, "none", "a"), false},
		"who may see one object":                {get(ned, "web", "a"), true},
		"who may see one object, of another":    {get(ned, "web", "b"), false},
		"a viewer of everything":                {get(eve, "other", "a"), true},
		"an admin, what a viewer may":           {get(r.client(r.as("ada")), "web", "a"), true},
		"an admin, what an editor may":          {second(r.client(r.as("ada")).CoreV1().Secrets("web").Get(t.Context(), "key", metav1.GetOptions{})), true},
		"an admin, what an admin may":           {second(r.client(r.as("ada")).RbacV1().Roles("web").List(t.Context(), metav1.ListOptions{})), true},
		"an editor, what a viewer may":          {get(r.client(r.as("eddy")), "web", "a"), true},
		"an editor, what an admin may":          {second(r.client(r.as("eddy")).RbacV1().Roles("web").List(t.Context(), metav1.ListOptions{})), false},
		"nobody":                                {get(nobody, "web", "a"), false},
		"a viewer, a secret":                    {second(viewer.CoreV1().Secrets("web").Get(t.Context(), "key", metav1.GetOptions{})), false},
		"a viewer of everything, a secret":      {second(eve.CoreV1().Secrets("web").List(t.Context(), metav1.ListOptions{})), false},
		"a viewer of everything, what is added": {second(eve.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})), true},
		"a viewer, in another's name":           {get(r.client(as(r.as("mary", "web"), "eve")), "other", "a"), false},
		"the administrator, in another's name":  {get(r.client(as(r.as(""), "mary")), "web", "a"), false},
	} {
		if test.may && test.err != nil || !test.may && !apierrors.IsForbidden(test.err) {
			t.Errorf("%s: %v", what, test.err)
		}
	}
	review, err := viewer.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "web", Verb: "list", Resource: "pods"}},
	}, metav1.CreateOptions{})
	if err != nil || !review.Status.Allowed {
		t.Errorf("a viewer that asks whether it may list pods: %v, %v", review, err)
	}
	rules, err := ned.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "web"},
	}, metav1.CreateOptions{})
	if err != nil || !strings.Contains(rules.String(), "configmaps") {
		t.Errorf("the rules of a user: %v, %v", rules, err)
	}
}

func second[T any](_ T, err error) error { return err }

func as(c *restclient.Config, user string) *restclient.Config {
	c.Impersonate = restclient.ImpersonationConfig{UserName: user}
	return c
}

// Whoever has no certificate of the authority that holds learns whether the server is well, and nothing else.
func TestAccess_Strangers(t *testing.T) {
	r := newRig(t)
	foreign, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := func(by *pki.Keys, u User) *restclient.Config {
		other := rig{t: r.t, url: r.url, keys: by}
		return other.of(u)
	}
	stranger := file(foreign, User{TTL: time.Hour, Now: time.Now()})
	late := file(r.keys, User{TTL: time.Minute, Now: time.Now().Add(-time.Hour)})
	early := file(r.keys, User{TTL: time.Hour, Now: time.Now().Add(time.Hour)})
	none := r.as("")
	none.CertData, none.KeyData = nil, nil
	token := restclient.CopyConfig(none)
	token.BearerToken = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06YWRtaW4ifQ."
	serving := restclient.CopyConfig(none)
	serving.CertData, serving.KeyData = servingCertificate(t, r)
	for name, c := range map[string]*restclient.Config{"another authority's": stranger, "one that is over": late, "one that is not yet": early, "none": none, "an unsigned token": token, "a server's certificate": serving} {
		c.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.keys.CA.Raw})
		if err := second(r.client(c).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})); !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %v", name, err)
		}
		for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/healthz": 200, "/version": 401, "/api": 401, "/openapi/v2": 401, "/metrics": 401, "/openid/v1/jwks": 401, "/readyz/ping": 401} {
			if name == "none" {
				if got := status(t, c, path); got != want {
					t.Errorf("%s with %s: %d, want %d", path, name, got, want)
				}
			}
		}
	}
}

// of is the configuration of a client with a certificate.
func (r *rig) of(u User) *restclient.Config {
	r.t.Helper()
	data, err := u.Kubeconfig(r.url, r.keys.CA, r.keys.CAKey)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.parse(data)
}

func servingCertificate(t *testing.T, r *rig) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := Sign(r.keys.CA, r.keys.CAKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, private.Public())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
}

func status(t *testing.T, c *restclient.Config, path string) int {
	t.Helper()
	client, err := restclient.HTTPClientFor(c)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// A request for a certificate gives one for its key; the name is the request's, or the one that was given.
func TestUser_Requests(t *testing.T) {
	keys, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request := func(name string) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name, Organization: []string{"ops"}}}, private)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	}
	u := User{TTL: time.Hour, Now: time.Now()}
	made, err := u.Certificate(keys.CA, keys.CAKey, request("mary"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(made)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject.String() != "CN=mary,O=ops" || !private.PublicKey.Equal(c.PublicKey) || c.IsCA || c.CheckSignatureFrom(keys.CA) != nil {
		t.Errorf("the certificate is for %s", c.Subject)
	}
	for what, bad := range map[string][]byte{"nothing": nil, "no request": made, "no name": request(""), "broken": []byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")} {
		if _, err := u.Certificate(keys.CA, keys.CAKey, bad); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	for _, ttl := range []time.Duration{0, -time.Hour, 100 * 365 * 24 * time.Hour} {
		if _, err := (User{TTL: ttl, Now: time.Now()}).Kubeconfig("https://x", keys.CA, keys.CAKey); err == nil {
			t.Errorf("a certificate for %v", ttl)
		}
	}
}
