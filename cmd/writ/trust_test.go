package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"writ/manifest"
	"writ/sync/signature"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"

func TestTrustConfig(t *testing.T) {
	dir := t.TempDir()
	allowed, again := filepath.Join(dir, "allowed"), filepath.Join(dir, "again")
	settings := filepath.Join(dir, "writ.yaml")
	for file, text := range map[string]string{
		allowed: "ann@example.org " + publicKey + "\n", again: "ann@example.org " + publicKey + "\n",
		settings: "trusted-signers: [" + allowed + "]\nsigner-mode: head\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args []string
		file string
		want signature.Files
		head bool
		says string
	}{
		"nobody":              {},
		"one file":            {args: []string{"--trusted-signers", allowed}, want: signature.Files{AllowedSigners: allowed}},
		"from the settings":   {file: settings, want: signature.Files{AllowedSigners: allowed}, head: true},
		"two of a kind":       {args: []string{"--trusted-signers", allowed, "--trusted-signers", again}, says: "both hold allowed signers"},
		"no such file":        {args: []string{"--trusted-signers", filepath.Join(dir, "none")}, says: "no such file"},
		"unknown mode":        {args: []string{"--trusted-signers", allowed, "--signer-mode", "some"}, says: `--signer-mode "some": all or head`},
		"mode without anyone": {args: []string{"--signer-mode", "head"}, says: "nobody's signature is asked for"},
		"hook without secret": {args: []string{"--webhook-listen", ":9411"}, says: "--webhook-listen and --webhook-secret belong together"},
		"hook without a port": {args: []string{"--webhook-listen", "here", "--webhook-secret", allowed}, says: "--webhook-listen: address here: missing port"},
		"size of images":      {args: []string{"--max-image-size", "large"}, says: `--max-image-size "large" is not a size`},
		"files of images":     {args: []string{"--max-image-files", "0"}, says: "--max-image-files 0"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config{}
			f := pflag.NewFlagSet("up", pflag.ContinueOnError)
			cfg.flags(f)
			if err := f.Parse(append([]string{"--repo", dir}, c.args...)); err != nil {
				t.Fatal(err)
			}
			err := fillFlags(f, func(string) (string, bool) { return "", false }, c.file)
			if err == nil {
				err = cfg.trust.fill()
			}
			if err == nil {
				err = cfg.Validate()
			}
			got := cfg.source().Trust
			if c.says == "" {
				if got.Files != c.want || got.HeadOnly != c.head {
					t.Errorf("trust is %+v, want %+v, head %v", got, c.want, c.head)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestSigning(t *testing.T) {
	for name, c := range map[string]struct {
		signer manifest.Signer
		says   string
	}{
		"good":    {manifest.Signer{Path: "apps/**", Keys: []string{publicKey + " shop"}}, ""},
		"no keys": {manifest.Signer{Path: "apps/**"}, `path "apps/**" has no keys`},
		"no key":  {manifest.Signer{Path: "apps/**", Keys: []string{"ssh-ed25519 AAAA"}}, `path "apps/**": keys[0]: is neither an SSH`},
		"no path": {manifest.Signer{Path: "../x", Keys: []string{publicKey}}, "is no pattern"},
	} {
		if err := (signing{}).Check(c.signer); (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), "path") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	s := manifest.Signer{Path: "apps/shop/**"}
	for path, want := range map[string]bool{"prod/apps/shop/a.yaml": true, "prod/apps/shop/b/c.yaml": true, "apps/shop/a.yaml": false, "prod/apps/shops/a.yaml": false} {
		if got := (signing{}).Covers(s, "prod", path); got != want {
			t.Errorf("covers %s: %v, want %v", path, got, want)
		}
	}
}
