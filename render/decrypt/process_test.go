package decrypt

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getsops/sops/v3/hcvault"

	"writ/fixtures/secrets"
	"writ/manifest"
)

// A process that is killed, or idle, or has old keys, is replaced; one that cannot be replaced says
// nothing about the commit.
func TestDecrypter_Process(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n")
	e := manifest.Encrypted{Path: "a.yaml", Format: "yaml", Data: []byte(yaml(t, db, onlyData, key))}
	open := func() error {
		clear, err := r.d.Decrypt(e)
		if err == nil && (string(clear.Text) != db || len(clear.Secrecy.Values) != 1) {
			t.Errorf("clear text %q, values %q", clear.Text, clear.Secrecy.Values)
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	r.confined(t)
	r.d.child.Kill()
	if err := open(); err == nil || errors.Is(err, manifest.ErrUnavailable) {
		t.Errorf("killed: %v", err)
	}
	if err := open(); err != nil {
		t.Errorf("after the kill: %v", err)
	}
	before := r.d.KeysID()
	r.write("- age: " + secrets.NewAge(t).Identity + "\n")
	if r.d.KeysID() == before {
		t.Error("other keys have the same identity")
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "needs the age key") {
		t.Errorf("with other keys: %v", err)
	}
	if err := os.Chmod(r.file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, manifest.ErrUnavailable) || !strings.Contains(err.Error(), "has mode 0644") {
		t.Errorf("with keys that everybody can read: %v", err)
	}
	_, err := r.load(tree(map[string]string{"ns.yaml": namespace, "db.yaml": string(e.Data)}), r.d, nil)
	if mistakes := (manifest.Mistakes{}); err == nil || errors.As(err, &mistakes) {
		t.Errorf("keys that are away are told as a mistake of the commit: %v", err)
	}
	r.silent()
}

// With a key service in the file of keys the process may reach it, and only then.
func TestDecrypter_KeyService(t *testing.T) {
	url, asked := secrets.KeyService(t, http.StatusOK)
	key := hcvault.NewMasterKey(url, "transit", "shop")
	e := manifest.Encrypted{Path: "a.yaml", Format: "yaml", Data: []byte(yaml(t, db, onlyData, secrets.Remote{Key: key}))}
	without := newRig(t, "- age: "+secrets.NewAge(t).Identity+"\n")
	if _, err := without.d.Decrypt(e); err == nil || !strings.Contains(err.Error(), "it was not asked") || len(asked()) > 0 {
		t.Errorf("a service that only the document names: %v, asked %v", err, asked())
	}
	with := newRig(t, "- vault: {address: "+url+", key: shop, token: s.token}\n")
	clear, err := with.d.Decrypt(e)
	if err != nil || string(clear.Text) != db {
		t.Errorf("clear text %q, error %v", clear.Text, err)
	}
	with.confined(t)
}

func TestDecrypter_Idle(t *testing.T) {
	key := secrets.NewAge(t)
	file := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(file, []byte("keys:\n- age: "+key.Identity+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{Program: self, Keys: file, Idle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	running := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.child != nil
	}
	for deadline := time.Now().Add(10 * time.Second); running(); {
		if time.Now().After(deadline) {
			t.Fatal("an idle process stays")
		}
	}
	if _, err := New(Config{Program: self, Keys: file + "x"}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a file: %v", err)
	}
}

// confined looks at the process from outside.
func (r *rig) confined(t *testing.T) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/", r.d.child.PID())
	limits, err := os.ReadFile(folder + "limits")
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(lineOf(string(limits), "Max core file size")); len(fields) < 6 || fields[4] != "0" || fields[5] != "0" {
		t.Errorf("core dumps: %v", fields)
	}
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		t.Fatal(err)
	}
	if seccomp := strings.Fields(lineOf(string(status), "Seccomp:")); len(seccomp) < 2 || seccomp[1] != "2" {
		t.Errorf("no filter of system calls: %v", seccomp)
	}
	if os.Geteuid() == 0 {
		if uids := strings.Fields(lineOf(string(status), "Uid:")); uids[1] == "0" || uids[4] == "0" {
			t.Errorf("it is still root: %v", uids)
		}
	}
	info, err := os.Stat(folder + "mem") // of a process that may not be dumped, the files belong to root
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("its memory belongs to user %d", owner)
	}
}
