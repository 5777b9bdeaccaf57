package metrics

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A server is asked with what the Secret of the settings holds, also when that changes, and nothing of it is told.
func TestCollector_Credentials(t *testing.T) {
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Authorization"))
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`)
	}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	settings := `{metrics: {prometheus: {url: '` + server.URL + `', secret: default/prometheus}}}`
	objects := func(data string) string {
		return scaled(`{type: External, external: {metric: {name: m}, target: {type: Value, value: 1}}}`) +
			"---\napiVersion: v1\nkind: Secret\nmetadata: {name: prometheus}\nstringData:\n" + data
	}
	certificate := "  ca.crt: |\n    " + strings.ReplaceAll(strings.TrimSpace(authority), "\n", "\n    ") + "\n"
	s := cluster(t, objects("  token: hidden\n"), settings)
	m := collector(t, s, Config{})
	for _, tt := range []struct{ name, data, header, want string }{
		{"an authority that is not known", "  token: hidden\n", "", "certificate"},
		{"a token", "  token: \"hidden\\n\"\n" + certificate, "Bearer hidden", "External m : =2000"},
		{"a name and a password", "  username: me\n  password: hidden\n" + certificate, "Basic bWU6aGlkZGVu", "External m : =2000"},
		{"nobody", certificate, "", "401 Unauthorized, not an answer of Prometheus"},
		{"no certificate", "  token: hidden\n  ca.crt: hidden\n", "", "Secret/default/prometheus: ca.crt holds no certificate"},
		{"no header", "  token: \"hid\\x01den\"\n" + certificate, "", "invalid header field value"},
	} {
		asked = nil
		commit(t, s, objects(tt.data), settings)
		got := measured(t, m, s)
		if !strings.Contains(got, tt.want) || strings.Contains(got, "hid") {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if header := strings.Join(asked, ", "); header != tt.header {
			t.Errorf("%s: asked with %q, want %q", tt.name, header, tt.header)
		}
	}
}
