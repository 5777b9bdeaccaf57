package network

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// poolOf opens the pool of a directory.
func poolOf(t *testing.T, dir string) *addresses {
	t.Helper()
	a, err := loadAddresses(dir, slog.New(slog.DiscardHandler))
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

func release(t *testing.T, a *addresses, uids ...string) {
	t.Helper()
	for _, uid := range uids {
		if err := a.release(uid); err != nil {
			t.Fatalf("release %s: %v", uid, err)
		}
	}
}

// exhausted asks for an address that is not to be had.
func exhausted(t *testing.T, a *addresses, in, uid string) *ExhaustedError {
	t.Helper()
	var e *ExhaustedError
	if ip, err := a.acquire(netip.MustParsePrefix(in), uid, "default", "pod"); !errors.As(err, &e) {
		t.Fatalf("acquire for %s: got %s, %v, want an ExhaustedError", uid, ip, err)
	}
	return e
}

func told(e *ExhaustedError) bool {
	select {
	case <-e.Ready():
		return true
	default:
		return false
	}
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestAddresses_KeptAndRested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		const in = "10.0.0.0/29" // .1 to .6
		a := poolOf(t, dir)
		expect(t, "first", acquire(t, a, in, "a"), "10.0.0.1")
		expect(t, "again", acquire(t, a, in, "a"), "10.0.0.1")
		expect(t, "second", acquire(t, a, in, "b"), "10.0.0.2")
		a = poolOf(t, dir)
		expect(t, "after a restart", acquire(t, a, in, "b"), "10.0.0.2")
		release(t, a, "a", "a")
		time.Sleep(time.Second)
		a = poolOf(t, dir)
		for i, want := range []string{"10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"} {
			expect(t, "further", acquire(t, a, in, fmt.Sprintf("c%d", i)), want)
		}
		time.Sleep(58 * time.Second)
		expect(t, "after 59 s", acquire(t, a, in, "d"), "allocate address: none is free in 10.0.0.0/29: 5 in use, "+
			"1 released less than 1m0s ago; the next is free at 00:01:00Z or later")
		a.close()
		a = poolOf(t, dir) // who waited has to ask again, and it is the same minute
		expect(t, "after 59 s and a restart", exhausted(t, a, in, "d").RetryAfter().String(), "1s")
		a.close()
		a = poolOf(t, dir)
		time.Sleep(time.Second)
		expect(t, "after 60 s", acquire(t, a, in, "d"), "10.0.0.1")
	})
}

// TestAddresses_Wait lets pods stand in line: each is told when its address is there, in the order in
// which they came, and nobody before.
func TestAddresses_Wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const in = "10.0.0.0/30" // .1 and .2
		a := poolOf(t, t.TempDir())
		acquire(t, a, in, "a")
		acquire(t, a, in, "b")
		first := exhausted(t, a, in, "c") // while all are in use
		expect(t, "retry while all are in use", first.RetryAfter().String(), "1m0s")
		time.Sleep(10 * time.Second)
		release(t, a, "a")
		time.Sleep(5 * time.Second)
		release(t, a, "b")
		gone, second := exhausted(t, a, in, "gone"), exhausted(t, a, in, "d")
		expect(t, "retry of the second in line", gone.RetryAfter().String(), "1m0s")
		release(t, a, "gone") // it is deleted while it waits
		if again := exhausted(t, a, in, "c"); again.Ready() != first.Ready() || again.RetryAfter() != 55*time.Second {
			t.Errorf("asked again: place kept %v, retry after %s, want true and 55s", again.Ready() == first.Ready(), again.RetryAfter())
		}
		time.Sleep(55*time.Second - time.Millisecond)
		synctest.Wait()
		if told(first) || told(second) {
			t.Error("an address that has not rested was given")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !told(first) || told(second) {
			t.Errorf("one has rested: first ready %v, second %v, want true and false", told(first), told(second))
		}
		exhausted(t, a, in, "e") // a newcomer does not take what is kept
		expect(t, "first", acquire(t, a, in, "c"), "10.0.0.1")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !told(second) {
			t.Error("the second has rested, and nobody was told")
		}
		release(t, a, "d") // deleted before it took what was kept for it: that rests
		expect(t, "retry of the last", exhausted(t, a, in, "e").RetryAfter().String(), "1m0s")
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "last", acquire(t, a, in, "e"), "10.0.0.2")
		if told(gone) {
			t.Error("a pod that was detached is served")
		}
	})
}

// TestAddresses_NeverTwice attaches and detaches at random on a small range: no address has two pods,
// none is used within a minute, and whoever waits is served in the end.
func TestAddresses_NeverTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, r := t.TempDir(), rand.New(rand.NewPCG(5, 5))
		a := poolOf(t, dir)
		has, lines, released := map[string]string{}, map[string]*ExhaustedError{}, map[string]time.Time{}
		served := 0
		for i := range 3000 {
			time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			synctest.Wait()
			if i%500 == 499 {
				a.close()
				a = poolOf(t, dir)
				clear(lines)
			}
			uid := fmt.Sprintf("p%d", r.IntN(30))
			if ip := has[uid]; ip != "" || r.IntN(4) == 0 {
				release(t, a, uid)
				delete(has, uid)
				delete(lines, uid)
				if ip != "" {
					released[ip] = time.Now()
				}
				continue
			}
			waited := lines[uid]
			ip, err := a.acquire(netip.MustParsePrefix("10.0.0.0/28"), uid, "default", uid)
			var e *ExhaustedError
			switch {
			case errors.As(err, &e):
				if waited != nil && told(waited) {
					t.Fatalf("step %d: %s was told that its address is there, and has none: %v", i, uid, err)
				}
				lines[uid] = e
				continue
			case err != nil:
				t.Fatal(err)
			}
			delete(lines, uid)
			if waited != nil {
				served++
			}
			for other, taken := range has {
				if taken == ip.String() {
					t.Fatalf("step %d: %s and %s both have %s", i, uid, other, ip)
				}
			}
			if ago := time.Since(released[ip.String()]); ago < quarantine {
				t.Fatalf("step %d: %s is used again after %s", i, ip, ago)
			}
			has[uid] = ip.String()
		}
		if served < 100 {
			t.Errorf("served after waiting: %d, want the range to have been exhausted often", served)
		}
	})
}

func TestAddresses_GoAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := poolOf(t, t.TempDir())
		seen := map[string]bool{}
		for i := range 20 {
			uid := fmt.Sprintf("p%d", i)
			ip := acquire(t, a, "10.0.0.0/24", uid)
			if seen[ip] {
				t.Errorf("address %s is used again while others were never used", ip)
			}
			seen[ip] = true
			time.Sleep(2 * time.Minute)
			release(t, a, uid)
		}
	})
}

// TestAddresses_ClockSet: a clock that went back or far ahead while no daemon ran neither lets an
// address rest for ever nor changes what is in use.
func TestAddresses_ClockSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const in = "10.0.0.0/30"
		dir := t.TempDir()
		l := lease{IP: netip.MustParseAddr("10.0.0.1"), UID: "a", Released: time.Now().Add(24 * time.Hour)}
		if err := writeJSON(filepath.Join(dir, l.IP.String()), l); err != nil {
			t.Fatal(err)
		}
		a := poolOf(t, dir)
		expect(t, "beside one that rests", acquire(t, a, in, "b"), "10.0.0.2")
		expect(t, "rest of one released tomorrow", exhausted(t, a, in, "c").RetryAfter().String(), "1m0s")
		a.close()
	})
}

func TestAddresses_AnyRange(t *testing.T) {
	for in, want := range map[string]int{"10.0.0.0/32": 0, "10.0.0.0/31": 0, "10.0.0.0/30": 2, "10.0.0.0/24": 254, "10.0.0.0/20": 4094, "10.0.0.0/8": poolLimit - 2} {
		a := &addresses{taken: map[netip.Addr]*lease{}, in: netip.MustParsePrefix(in), fresh: 1}
		got := 0
		for _, ok := a.take(); ok; _, ok = a.take() {
			got++
		}
		if got != want {
			t.Errorf("addresses of %s: got %d, want %d", in, got, want)
		}
	}
}

func TestAddresses_TornFiles(t *testing.T) {
	dir := t.TempDir()
	a := poolOf(t, dir)
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
	a = poolOf(t, dir)
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
