package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	restclient "k8s.io/client-go/rest"
)

// lockedBuffer is written to by the server while the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Who reads a secret, or tries to, is told with the outcome, and nothing of the secret; what everybody does all day is not.
func TestAudit(t *testing.T) {
	r := newRig(t)
	r.decide(nil, put(&corev1.Secret{ObjectMeta: meta("web", "key"), Data: map[string][]byte{"password": []byte("hunter2")}}), put(configMap("web", "a", "1")))
	get := func(c *restclient.Config) {
		_, _ = r.client(c).CoreV1().Secrets("web").Get(t.Context(), "key", metav1.GetOptions{})
	}
	get(r.as(""))
	get(r.as("zoe"))
	get(as(r.as(""), "eve"))
	none := restclient.AnonymousClientConfig(r.as(""))
	none.BearerToken = "nonsense"
	get(none)
	_, _ = r.admin().CoreV1().ConfigMaps("web").Get(t.Context(), "a", metav1.GetOptions{})
	_ = r.admin().CoreV1().ConfigMaps("web").Delete(t.Context(), "a", metav1.DeleteOptions{})
	want := []string{
		"get secrets web/key by admin: 200", "get secrets web/key by zoe: 403", "get secrets web/key by admin as eve: 403",
		"get secrets web/key by : 401", "delete configmaps web/a by admin: 405",
	}
	if said := await(func() string {
		if got := lines(t, r.audit.String()); strings.Join(got, "\n") != strings.Join(want, "\n") {
			return "told was\n" + strings.Join(got, "\n")
		}
		return ""
	}); said != "" {
		t.Error(said)
	}
	if strings.Contains(r.audit.String(), "hunter2") || strings.Contains(r.audit.String(), "aHVudGVyMg") {
		t.Error("the secret is told")
	}
}

// lines are events for people.
func lines(t *testing.T, log string) []string {
	t.Helper()
	var all []string
	for s := bufio.NewScanner(strings.NewReader(log)); s.Scan(); {
		var e auditv1.Event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		line := e.Verb + " " + e.ObjectRef.Resource + " " + e.ObjectRef.Namespace + "/" + e.ObjectRef.Name + " by " + e.User.Username
		if e.ImpersonatedUser != nil {
			line += " as " + e.ImpersonatedUser.Username
		}
		code, err := json.Marshal(e.ResponseStatus.Code)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, line+": "+string(code))
	}
	return all
}
