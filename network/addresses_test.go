package network

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// poolOf opens the pool of a directory at a time that the test moves.
func poolOf(t *testing.T, dir string, now *time.Time) *addresses {
	t.Helper()
	a, err := loadAddresses(dir, func() time.Time { return *now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func acquire(t *testing.T, a *addresses, in, uid string) string {
	t.Helper()
	ip, err := a.acquire(netip.MustParsePrefix(in), uid, "default", "pod")
	if err != nil {
		return err.Error()
	}
	return ip.String()
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestAddresses_KeptAndRested(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	dir := t.TempDir()
	const in = "10.0.0.0/29" // .1 to .6
	a := poolOf(t, dir, &now)
	expect(t, "first", acquire(t, a, in, "a"), "10.0.0.1")
	expect(t, "again", acquire(t, a, in, "a"), "10.0.0.1")
	expect(t, "second", acquire(t, a, in, "b"), "10.0.0.2")
	a = poolOf(t, dir, &now)
	expect(t, "after a restart", acquire(t, a, in, "b"), "10.0.0.2")
	if err := a.release("a"); err != nil {
		t.Fatal(err)
	}
	if err := a.release("a"); err != nil {
		t.Errorf("release again: %v", err)
	}
	a = poolOf(t, dir, &now)
	for i, want := range []string{"10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"} {
		expect(t, "further", acquire(t, a, in, fmt.Sprintf("c%d", i)), want)
	}
	now = now.Add(59 * time.Second)
	expect(t, "after 59 s", acquire(t, a, in, "d"), "allocate address: none is free in 10.0.0.0/29: 5 in use, 1 released less than 1m0s ago")
	now = now.Add(time.Second)
	expect(t, "after 60 s", acquire(t, a, in, "d"), "10.0.0.1")
}

func TestAddresses_GoAround(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a := poolOf(t, t.TempDir(), &now)
	seen := map[string]bool{}
	for i := range 20 {
		uid := fmt.Sprintf("p%d", i)
		ip := acquire(t, a, "10.0.0.0/24", uid)
		if seen[ip] {
			t.Errorf("address %s is used again while others were never used", ip)
		}
		seen[ip] = true
		now = now.Add(2 * time.Minute)
		if err := a.release(uid); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAddresses_TornFiles(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	dir := t.TempDir()
	a := poolOf(t, dir, &now)
	expect(t, "first", acquire(t, a, "10.0.0.0/24", "a"), "10.0.0.1")
	for name, data := range map[string]string{
		"10.0.0.2":      "",
		"10.0.0.3":      `{"ip":"10.0.0.3","uid":"x`,
		"10.0.0.4":      `{"ip":"10.0.0.1","uid":"y"}`,
		".10.0.0.5.new": `{"ip":"10.0.0.5","uid":"z"}`,
		"nonsense":      "?",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a = poolOf(t, dir, &now)
	if got := a.leases(); len(got) != 1 || got[0].UID != "a" || got[0].IP.String() != "10.0.0.1" {
		t.Errorf("leases: got %v, want only that of a", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("files: %v, %v, want only 10.0.0.1", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, "10.0.0.1"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("record: %v, %v, want mode 0600", info, err)
	}
}

func TestCheckUID(t *testing.T) {
	for uid, fine := range map[string]bool{"": false, "..": false, ".": false, "../x": false, "a\x00b": false, uidOf(1): true} {
		if err := checkUID(uid); (err == nil) != fine {
			t.Errorf("check %q: got %v, want fine %v", uid, err, fine)
		}
	}
}

func TestNames_Fit(t *testing.T) {
	n := namesOf(Config{Node: "a-node-with-quite-a-long-name.example.com", DataDir: "/var/lib/writ"})
	other := namesOf(Config{Node: "a-node-with-quite-a-long-name.example.com", DataDir: "/var/lib/other"})
	for _, name := range []string{n.link(netip.MustParseAddr("255.255.255.255")), n.dns, n.peer} {
		if len(name) > 15 {
			t.Errorf("link name %q has %d bytes, want at most 15", name, len(name))
		}
		if !n.own(name) || other.own(name) {
			t.Errorf("link name %q: own %v, of the other node %v, want true and false", name, n.own(name), other.own(name))
		}
	}
	if strings.HasPrefix(n.dns, n.pods) || strings.HasPrefix(n.peer, n.pods) {
		t.Errorf("links %q and %q begin like those of pods, %q", n.dns, n.peer, n.pods)
	}
}
