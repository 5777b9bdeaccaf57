package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestUserRanges(t *testing.T) {
	dir := t.TempDir()
	file := func(uid types.UID) string { return filepath.Join(dir, string(uid), "users") }
	all := UserIDs{First: 65536, Length: 3 * 65536}
	made := func(uid types.UID) {
		if err := os.MkdirAll(filepath.Dir(file(uid)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	u := newUserRanges(all, file, nil)
	seen := map[uint32]types.UID{}
	for i := range 3 {
		uid := types.UID(fmt.Sprint("pod", i))
		made(uid)
		r, err := u.of(uid)
		if err != nil || r.Length != 65536 || r.First < all.First || r.First+r.Length > all.First+all.Length {
			t.Fatalf("%s got %+v, %v", uid, r, err)
		}
		if other, taken := seen[r.First]; taken {
			t.Errorf("%s and %s share %d", uid, other, r.First)
		}
		seen[r.First] = uid
		if again, err := u.of(uid); err != nil || *again != *r {
			t.Errorf("%s got %+v and then %+v, %v", uid, r, again, err)
		}
	}
	made("late")
	if r, err := u.of("late"); err == nil || err.Error() != "could not find an empty slot to allocate a user namespace" {
		t.Errorf("a fourth pod got %+v, %v", r, err)
	}
	// Another daemon knows what is on disk; a range is free when its pod's directory is gone.
	next := newUserRanges(all, file, []types.UID{"pod0", "pod1", "pod2"})
	if err := os.RemoveAll(filepath.Dir(file("pod1"))); err != nil {
		t.Fatal(err)
	}
	r, err := next.of("late")
	if err != nil || seen[r.First] != "pod1" {
		t.Errorf("the free range is pod1's, late got %+v, %v", r, err)
	}
	if again, err := next.of("pod2"); err != nil || seen[again.First] != "pod2" {
		t.Errorf("pod2 got %+v, %v after a restart", again, err)
	}
}

func TestUserRanges_DamagedFile(t *testing.T) {
	dir := t.TempDir()
	u := newUserRanges(UserIDs{First: 65536, Length: 65536}, func(types.UID) string { return filepath.Join(dir, "users") }, nil)
	for _, text := range []string{"{", `{"first":0,"length":65536}`, `{"first":65536,"length":1}`} {
		if err := os.WriteFile(filepath.Join(dir, "users"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := u.of("p"); err == nil || !strings.Contains(err.Error(), "users") {
			t.Errorf("%s: got %+v, %v", text, r, err)
		}
	}
}

func TestUserIDs(t *testing.T) {
	for _, tt := range []struct {
		ids UserIDs
		ok  bool
	}{
		{UserIDs{}, true}, {UserIDs{65536, 65536}, true}, {UserIDs{1 << 20, 110 << 16}, true},
		{UserIDs{0, 65536}, false}, {UserIDs{65537, 65536}, false}, {UserIDs{65536, 0}, false}, {UserIDs{65536, 1000}, false}, {UserIDs{1<<32 - 65536, 2 << 16}, false},
	} {
		if err := tt.ids.Validate(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v, want valid %v", tt.ids, err, tt.ok)
		}
	}
	if got, want := (UserIDs{}).filled(110), (UserIDs{65536, 110 << 16}); got != want {
		t.Errorf("by default %+v, want %+v", got, want)
	}
}

func TestReachable(t *testing.T) {
	top := filepath.Join(t.TempDir(), "closed")
	inside := filepath.Join(top, "open")
	if err := os.MkdirAll(inside, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(top, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := reachable(inside); err == nil || !strings.Contains(err.Error(), top+", the data directory must be where they may") {
		t.Errorf("a folder in a closed one: %v, want an error that names %s", err, top)
	}
	if err := reachable("/"); err != nil {
		t.Errorf("the root: %v", err)
	}
}
