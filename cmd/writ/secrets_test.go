package main

import (
	"strings"
	"testing"

	"writ/fixtures/gitserver"
)

// sealedSecret is a Secret as SOPS writes it; nobody has the key.
const sealedSecret = `apiVersion: v1
kind: Secret
metadata:
    name: db
    namespace: shop
stringData:
    password: ENC[AES256_GCM,data:9Qv8,iv:FfbGf0vL9GkP1l1mXCKzBqvM7w6hXJ0Xo2hL0mYdGZY=,tag:5b9kq8Tg0nqk6sN1S2JXVw==,type:str]
sops:
    age:
        - recipient: age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg
          enc: |
            -----BEGIN AGE ENCRYPTED FILE-----
            -----END AGE ENCRYPTED FILE-----
    lastmodified: "2026-11-21T12:00:00Z"
    mac: ENC[AES256_GCM,data:9Qv8,iv:FfbGf0vL9GkP1l1mXCKzBqvM7w6hXJ0Xo2hL0mYdGZY=,tag:5b9kq8Tg0nqk6sN1S2JXVw==,type:str]
    encrypted_regex: ^(data|stringData)$
    version: 3.13.3
`

func TestCheck_WithoutKeys(t *testing.T) {
	p := gitserver.NewWorkTree(t)
	p.Commit("base", map[string]string{"ns.yaml": shopNamespace, "db.yaml": sealedSecret})
	code, out, errOut := writ(t, "check", p.Dir, "--strict")
	if code != exitFine || !strings.Contains(out, "note: db.yaml: is encrypted; its values are not checked without --decryption-keys") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	p.Git("switch", "-q", "-c", "branch")
	p.Write(map[string]string{"db.yaml": strings.Replace(sealedSecret, "password: ENC[AES256_GCM,data:9Qv8", "password: ENC[AES256_GCM,data:AAAA", 1)})
	if code, out, errOut = writ(t, "check", p.Dir, "--base", "main"); code != exitFine || !strings.Contains(out, "merging changes   1: Secret/shop/db") {
		t.Errorf("a value changed: exit code %d: %s%s", code, out, errOut)
	}
	p.Write(map[string]string{"db.yaml": strings.Replace(sealedSecret, "stringData:", "stringdata:", 1)})
	if code, out, errOut = writ(t, "check", p.Dir); code != exitError || !strings.Contains(out, `db.yaml:6: Secret/shop/db: unknown field "stringdata"`) {
		t.Errorf("a wrong field: exit code %d: %s%s", code, out, errOut)
	}
	if code, out, errOut = writ(t, "check", p.Dir, "--decryption-keys", p.Dir+"/nowhere"); code != exitError {
		t.Errorf("keys that are missing: exit code %d: %s%s", code, out, errOut)
	}
}
