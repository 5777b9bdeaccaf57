package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
)

// forges tell how each forge proves that it knows the secret.
var forges = map[string]func(h http.Header, secret, body []byte) bool{
	// https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
	"github": func(h http.Header, secret, body []byte) bool {
		return signed(h.Get("X-Hub-Signature-256"), "sha256=", secret, body)
	},
	// https://docs.gitlab.com/user/project/integrations/webhooks: the secret itself.
	"gitlab": func(h http.Header, secret, _ []byte) bool { return equal(h.Get("X-Gitlab-Token"), string(secret)) },
	// https://docs.gitea.com/usage/webhooks; Forgejo sends the same header too.
	"gitea": func(h http.Header, secret, body []byte) bool {
		return signed(h.Get("X-Gitea-Signature"), "", secret, body)
	},
	// https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks; Data Center does the same.
	"bitbucket": func(h http.Header, secret, body []byte) bool {
		return signed(h.Get("X-Hub-Signature"), "sha256=", secret, body)
	},
	// For scripts: a signature as GitHub's, or `Authorization: Bearer SECRET`.
	"generic": func(h http.Header, secret, body []byte) bool {
		if token, ok := strings.CutPrefix(h.Get("Authorization"), "Bearer "); ok {
			return equal(token, string(secret))
		}
		return signed(h.Get("X-Signature-256"), "sha256=", secret, body)
	},
}

// signed checks an HMAC-SHA256 in hexadecimal.
func signed(header, prefix string, secret, body []byte) bool {
	text, ok := strings.CutPrefix(header, prefix)
	sum, err := hex.DecodeString(text)
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), sum) && ok && err == nil
}

// equal compares hashes, so that not even the length shows.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
