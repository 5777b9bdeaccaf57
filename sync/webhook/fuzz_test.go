package webhook

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Nobody who does not have the secret starts anything, and everybody without it gets the same answer.
func FuzzHandler(f *testing.F) {
	for _, path := range []string{"github", "gitlab", "gitea", "bitbucket", "generic", "../github", "x"} {
		f.Add(path, "X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64), "{}")
	}
	f.Add("gitlab", "X-Gitlab-Token", "secre", "")
	f.Add("generic", "Authorization", "Bearer ", "")
	file := filepath.Join(f.TempDir(), "secret")
	const secret = "a long secret that no fuzzer finds"
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, forge, header, value, body string) {
		hints := 0
		h, err := New(Config{SecretFile: file, Hint: func() { hints++ }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		r := httptest.NewRequest(http.MethodPost, "/", io.LimitReader(strings.NewReader(body), 4<<20))
		r.URL.Path = "/hooks/" + forge
		r.Header[http.CanonicalHeaderKey(header)] = []string{value}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound || w.Body.String() != "not found\n" || hints != 0 {
			if value != secret && !strings.Contains(value, secret) {
				t.Errorf("%s, %s: %q: got %d %q and %d hints", forge, header, value, w.Code, w.Body, hints)
			}
		}
	})
}
