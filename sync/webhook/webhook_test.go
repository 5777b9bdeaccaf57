package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func handler(t *testing.T, secret string) (*Handler, *int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	hints := new(int)
	h, err := New(Config{SecretFile: file, Hint: func() { *hints++ }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h, hints
}

func mac(secret, body string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(body))
	return hex.EncodeToString(m.Sum(nil))
}

func ask(h http.Handler, method, path, header, value, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if header != "" {
		r.Header.Set(header, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// What is not genuine gets one and the same answer and starts nothing.
func TestHandler_Checks(t *testing.T) {
	good := mac("it's secret", "{}")
	for name, c := range map[string]struct {
		method, path, header, value string
		ok                          bool
	}{
		"github":           {"POST", "/hooks/github", "X-Hub-Signature-256", "sha256=" + good, true},
		"gitlab":           {"POST", "/hooks/gitlab", "X-Gitlab-Token", "it's secret", true},
		"gitea":            {"POST", "/hooks/gitea", "X-Gitea-Signature", good, true},
		"bitbucket":        {"POST", "/hooks/bitbucket", "X-Hub-Signature", "sha256=" + good, true},
		"generic":          {"POST", "/hooks/generic", "X-Signature-256", "sha256=" + good, true},
		"generic, a token": {"POST", "/hooks/generic", "Authorization", "Bearer it's secret", true},
		"another secret":   {"POST", "/hooks/github", "X-Hub-Signature-256", "sha256=" + mac("other", "{}"), false},
		"another body":     {"POST", "/hooks/github", "X-Hub-Signature-256", "sha256=" + mac("it's secret", "{ }"), false},
		"no prefix":        {"POST", "/hooks/github", "X-Hub-Signature-256", good, false},
		"half":             {"POST", "/hooks/github", "X-Hub-Signature-256", "sha256=" + good[:32], false},
		"empty":            {"POST", "/hooks/github", "X-Hub-Signature-256", "sha256=", false},
		"no signature":     {"POST", "/hooks/github", "", "", false},
		"SHA-1 header":     {"POST", "/hooks/github", "X-Hub-Signature", "sha256=" + good, false},
		"another's header": {"POST", "/hooks/gitea", "X-Hub-Signature-256", "sha256=" + good, false},
		"a wrong token":    {"POST", "/hooks/gitlab", "X-Gitlab-Token", "it's secret ", false},
		"no token":         {"POST", "/hooks/gitlab", "", "", false},
		"an empty bearer":  {"POST", "/hooks/generic", "Authorization", "Bearer ", false},
		"GET":              {"GET", "/hooks/github", "X-Hub-Signature-256", "sha256=" + good, false},
		"unknown":          {"POST", "/hooks/sourcehut", "X-Hub-Signature-256", "sha256=" + good, false},
		"elsewhere":        {"POST", "/github", "X-Hub-Signature-256", "sha256=" + good, false},
		"below":            {"POST", "/hooks/github/x", "X-Hub-Signature-256", "sha256=" + good, false},
		"root":             {"POST", "/", "", "", false},
	} {
		h, hints := handler(t, "it's secret\n")
		w := ask(h, c.method, c.path, c.header, c.value, "{}")
		switch {
		case c.ok && (w.Code != http.StatusAccepted || *hints != 1):
			t.Errorf("%s: got %d and %d hints, want 202 and one", name, w.Code, *hints)
		case !c.ok && (w.Code != http.StatusNotFound || w.Body.String() != "not found\n" || *hints != 0):
			t.Errorf("%s: got %d %q and %d hints, want 404 and none", name, w.Code, w.Body, *hints)
		}
	}
}

func TestHandler_Secret(t *testing.T) {
	for _, secret := range []string{"", "\n"} {
		h, hints := handler(t, secret)
		if w := ask(h, "POST", "/hooks/gitlab", "X-Gitlab-Token", "", "{}"); w.Code != http.StatusNotFound || *hints != 0 {
			t.Errorf("secret %q: got %d and %d hints", secret, w.Code, *hints)
		}
	}
	h, hints := handler(t, "old")
	if err := os.WriteFile(h.cfg.SecretFile, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if w := ask(h, "POST", "/hooks/gitlab", "X-Gitlab-Token", "new", ""); w.Code != http.StatusAccepted || *hints != 1 {
		t.Errorf("a new secret: got %d and %d hints", w.Code, *hints)
	}
	if err := os.Remove(h.cfg.SecretFile); err != nil {
		t.Fatal(err)
	}
	if w := ask(h, "POST", "/hooks/gitlab", "X-Gitlab-Token", "new", ""); w.Code != http.StatusNotFound {
		t.Errorf("without a secret: got %d", w.Code)
	}
}

func TestHandler_Size(t *testing.T) {
	h, hints := handler(t, "s")
	for size, want := range map[int]int{maxBody: http.StatusAccepted, maxBody + 1: http.StatusNotFound} {
		body := string(bytes.Repeat([]byte("x"), size))
		if w := ask(h, "POST", "/hooks/gitea", "X-Gitea-Signature", mac("s", body), body); w.Code != want {
			t.Errorf("%d bytes: got %d, want %d", size, w.Code, want)
		}
	}
	if *hints != 1 {
		t.Errorf("%d hints, want one", *hints)
	}
}

// However many requests come, hints are a second apart, and the last request is always followed by one.
func TestHandler_Coalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, hints := handler(t, "s")
		push := func() { ask(h, "POST", "/hooks/gitlab", "X-Gitlab-Token", "s", "") }
		want := func(when string, n int) {
			t.Helper()
			synctest.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			if *hints != n {
				t.Errorf("%s: %d hints, want %d", when, *hints, n)
			}
		}
		for range 100 {
			push()
		}
		want("at once", 1)
		time.Sleep(time.Second)
		want("after a second", 2)
		time.Sleep(time.Minute)
		want("after a minute", 2)
		push()
		want("much later", 3)
		push()
		h.Close()
		time.Sleep(time.Minute)
		want("closed", 3)
	})
}

// A body that does not end holds one of a few places and is cut off by the server's timeout.
func TestHandler_Busy(t *testing.T) {
	h, hints := handler(t, "s")
	for range maxAtOnce {
		h.room <- struct{}{}
	}
	if w := ask(h, "POST", "/hooks/gitlab", "X-Gitlab-Token", "s", ""); w.Code != http.StatusServiceUnavailable || *hints != 0 {
		t.Errorf("got %d and %d hints, want 503 and none", w.Code, *hints)
	}
	s := Server(h)
	if s.ReadTimeout == 0 || s.ReadHeaderTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 {
		t.Error("a server without a timeout")
	}
}

func TestConfig_Validate(t *testing.T) {
	for _, c := range []Config{{}, {SecretFile: "x"}, {SecretFile: "x", Hint: func() {}}, {SecretFile: "x", Hint: func() {}, Log: slog.Default(), Every: -1}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
