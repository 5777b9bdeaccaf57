package pki

import (
	"bytes"
	"crypto/x509"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen_MakesOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	first, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, want none for others", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Account.Equal(second.Account) || !first.CAKey.Equal(second.CAKey) || !bytes.Equal(first.CAPEM, second.CAPEM) || !bytes.Equal(first.Config, second.Config) {
		t.Error("opening again made other keys")
	}
	if info, err := os.Stat(filepath.Join(dir, configFile)); err != nil || info.Mode().Perm() != 0o600 || len(first.Config) != 32 {
		t.Errorf("config key: %v, %v, %d bytes; want a file for its owner alone with 32", info.Mode(), err, len(first.Config))
	}
	if first.Account.Equal(first.CAKey) {
		t.Error("one key is used for both")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(first.CAPEM) {
		t.Fatal("the certificate cannot be trusted")
	}
	if _, err := first.CA.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil || !first.CA.IsCA {
		t.Errorf("the certificate is no authority's: %v", err)
	}
}

// A key is never replaced, whatever is wrong with it.
func TestOpen_Refuses(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		mode       fs.FileMode
		want       string
	}{
		"open to others": {accountKeyFile, "", 0o644, "others than its owner could read it"},
		"torn":           {caKeyFile, "-----BEGIN PRIV", 0o600, "holds no key"},
		"short":          {configFile, "abc", 0o600, "holds 3 bytes, not 32"},
		"no certificate": {caFile, "x", 0o600, "holds no certificate"},
	} {
		dir := t.TempDir()
		if _, err := Open(dir); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, tt.file)
		if tt.text != "" {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		_, err := Open(dir)
		after, _ := os.ReadFile(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !bytes.Equal(before, after) {
			t.Errorf("%s: error %v, want %q and the file untouched", name, err, tt.want)
		}
	}
}

func TestOpen_CertificateOfAnotherKey(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if _, err := Open(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(b, caFile), filepath.Join(a, caFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(a); err == nil || !strings.Contains(err.Error(), "is not of the key beside it") {
		t.Errorf("error %v, want a refusal", err)
	}
}
