package image

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"writ/fixtures/registry"
)

// pulledSet pulls images app:1 to app:n, each of one layer with a file of so many bytes.
func pulledSet(t *testing.T, s *Store, sizes ...int) []Image {
	t.Helper()
	reg := registry.Start(t)
	var out []Image
	for i, n := range sizes {
		text := make([]byte, n)
		for j := range text {
			text[j] = byte('a' + i)
		}
		ref := push(t, reg, small(t, nil, map[string]string{"f": string(text)}), fmt.Sprintf("app:%d", i+1))
		img, err := s.Pull(t.Context(), ref, Access{})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, img)
	}
	return out
}

func ids(list []Listed) []string {
	var out []string
	for _, l := range list {
		out = append(out, l.ID)
	}
	return out
}

func TestAdopted_TwoCommitsKeepTheirImages(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	img := pulledSet(t, s, 1, 2, 3, 4)
	for _, c := range []struct {
		commit string
		refs   []string
		keeps  []int // index of img
	}{
		{"c1", []string{img[0].Ref}, []int{0}},
		{"c2", []string{img[1].Ref, "not a name"}, []int{0, 1}},
		{"c3", []string{img[1].Ref}, []int{0, 1}}, // a commit about something else pushes nothing out
		{"c4", []string{img[2].Ref, img[1].Ref}, []int{1, 2}},
		{"c5", []string{img[1].Ref}, []int{1, 2}}, // a revert
	} {
		if err := s.Adopted(c.commit, c.refs); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir) // it is remembered
		if err := s.Adopted(c.commit, c.refs); err != nil {
			t.Fatal(err)
		}
		out, err := s.Reclaim(Reclaim{Keep: only(""), DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range img {
			if !slices.Contains(c.keeps, i) {
				want = append(want, img[i].ID)
			}
		}
		got := ids(out.Images)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("after %s: %q may go, want %q", c.commit, got, want)
		}
	}
	why := map[string][]string{}
	for _, l := range s.List() {
		why[l.ID] = l.Pinned
	}
	if got := why[img[1].ID]; !slices.Equal(got, []string{"adopted commit c5", "previous commit c4"}) {
		t.Errorf("%s is kept for %q", img[1].Ref, got)
	}
}

func TestReclaim_OldestUseFirstUntilEnough(t *testing.T) {
	s := openStore(t, t.TempDir())
	img := pulledSet(t, s, 1000, 2000, 3000)
	s.Use(img[0].ID) // the first is the one used last
	plan := func(need int64) []string {
		t.Helper()
		out, err := s.Reclaim(Reclaim{Need: need, Keep: only(""), DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		return ids(out.Images)
	}
	for need, want := range map[int64][]string{
		1: {img[1].ID}, 2000: {img[1].ID}, 2001: {img[1].ID, img[2].ID}, 5001: {img[1].ID, img[2].ID, img[0].ID}, 0: {img[1].ID, img[2].ID, img[0].ID},
	} {
		if got := plan(need); !slices.Equal(got, want) {
			t.Errorf("%d bytes needed: %q go, want %q", need, got, want)
		}
	}
	if out, err := s.Reclaim(Reclaim{Keep: only(""), Before: time.Now().Add(-time.Minute)}); err != nil || len(out.Images) != 0 {
		t.Errorf("all are young: %+v, %v; want none", out, err)
	}
	if out, err := s.Reclaim(Reclaim{Need: 1500, Keep: only("")}); err != nil || out.Bytes != 2000 || len(out.Images) != 1 {
		t.Errorf("freed %d bytes, %v; want 2000", out.Bytes, err)
	}
}

func TestUse_IsRemembered(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	img := pulledSet(t, s, 1)
	s.Use(img[0].ID)
	used := s.List()[0].Used
	if err := s.Adopted("c", nil); err != nil { // any change of the index carries it
		t.Fatal(err)
	}
	got := openStore(t, dir).List()[0]
	if !got.Used.Equal(used) || used.IsZero() || got.Taken.IsZero() || got.Disk != 1 || got.Size == 0 || len(got.Refs) != 1 || len(got.Digests) != 1 {
		t.Errorf("got %+v, want used at %v", got, used)
	}
}

// The index of an older version knows neither when images came nor what layers take.
func TestOpen_OlderIndex(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	img := pulledSet(t, s, 7)
	data, err := os.ReadFile(s.indexPath())
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	delete(doc, "extents")
	images, _ := doc["images"].(map[string]any)
	for _, r := range images {
		for _, field := range []string{"created", "taken", "used"} {
			delete(r.(map[string]any), field)
		}
	}
	if data, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.indexPath(), data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	l := s.List()[0]
	if l.ID != img[0].ID || time.Since(l.Taken) > time.Minute || l.Disk != 7 {
		t.Errorf("got %+v, want it to have come now and to take 7 bytes", l)
	}
	if out, err := s.Reclaim(Reclaim{Keep: only(""), Before: time.Now().Add(-2 * time.Minute)}); err != nil || len(out.Images) != 0 {
		t.Errorf("it goes at once: %+v, %v", out, err)
	}
}
