package signature_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	"writ/sync/signature"
)

func TestDetect(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pgp, ssh := gitserver.NewPGPSigner(t, "Ben <ben@example.org>", "never"), gitserver.NewSSHSigner(t, "ann")
	armored, allowed := put("armored", pgp.Public), put("allowed", "# people\nann@example.org "+ssh.Public+"\n")
	binary := filepath.Join(dir, "binary")
	pgp.GPG(t, "--output", binary, "--export")
	for _, c := range []struct {
		files []string
		want  signature.Files
		says  string
	}{
		{[]string{armored}, signature.Files{Keyring: armored}, ""},
		{[]string{binary}, signature.Files{Keyring: binary}, ""},
		{[]string{allowed}, signature.Files{AllowedSigners: allowed}, ""},
		{[]string{allowed, binary}, signature.Files{AllowedSigners: allowed, Keyring: binary}, ""},
		{[]string{armored, binary}, signature.Files{}, "both hold PGP keys"},
		{[]string{put("empty", "# nobody\n")}, signature.Files{}, "there is no key"},
		{[]string{put("garbage", "ann ssh-ed25519 nonsense\n")}, signature.Files{}, "line 1"},
		{[]string{filepath.Join(dir, "none")}, signature.Files{}, "no such file"},
		{nil, signature.Files{}, "no file is given"},
	} {
		got, err := signature.Detect(c.files)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("Detect(%v) = %+v, %v; want %+v, %q", c.files, got, err, c.want, c.says)
		}
	}
}
