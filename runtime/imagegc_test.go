package runtime

import (
	"slices"
	"strings"
	"testing"
	"time"

	"writ/runtime/image"
	"writ/runtime/pressure"
)

func (f *fakeImages) left() []string {
	var out []string
	for _, l := range f.List() {
		out = append(out, strings.TrimPrefix(l.ID, "sha256:"))
	}
	return out
}

func TestCollect(t *testing.T) {
	for _, c := range []struct {
		name   string
		free   int64 // of 1000
		gc     ImageGC
		left   []string
		failed bool // to free enough
	}{
		{"enough room", 500, ImageGC{}, []string{"img:1", "old", "older", "young"}, false},
		{"one is enough", 120, ImageGC{}, []string{"img:1", "older", "young"}, false},
		{"all that may go", 20, ImageGC{}, []string{"img:1", "young"}, false},
		{"not enough", 0, ImageGC{High: 60, Low: 10}, []string{"img:1", "young"}, true},
		{"never", 0, ImageGC{High: 100}, []string{"img:1", "old", "older", "young"}, false},
		{"too old", 900, ImageGC{MaxAge: 30 * time.Minute}, []string{"img:1", "young"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.world.adopt(t, node, "c1", pod("web", "img:1", nil))
				settle()
				now := time.Now()
				for name, age := range map[string]time.Duration{"img:1": 3 * time.Hour, "old": time.Hour, "older": 2 * time.Hour, "young": time.Minute} {
					g.images.list = append(g.images.list, image.Listed{ID: "sha256:" + name, Disk: 100, Taken: now.Add(-age)})
				}
				slices.SortFunc(g.images.list, func(a, b image.Listed) int { return strings.Compare(a.ID, b.ID) })
				c.gc.fill()
				g.r.cfg.ImageGC = c.gc
				if err := g.r.collect(pressure.Level{Capacity: 1000, Available: c.free}, now, now.Add(-time.Hour)); (err != nil) != c.failed {
					t.Fatal(err)
				}
				if got := g.images.left(); !slices.Equal(got, c.left) {
					t.Errorf("left are %q, want %q", got, c.left)
				}
				if !slices.Contains(g.images.used, "sha256:img:1") || slices.Contains(g.images.used, "sha256:old") {
					t.Errorf("noted as used are %q, want that of the pod alone", g.images.used)
				}
				if got := g.count("FreeDiskSpaceFailed"); (got == 1) != c.failed {
					t.Errorf("%d events that not enough was freed", got)
				}
			})
		})
	}
}

// Images may lie on a disk of their own: that is the one that is looked at.
func TestCollect_TheirOwnDisk(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.images.list = []image.Listed{{ID: "sha256:old", Disk: 100, Taken: time.Now().Add(-time.Hour)}}
		g.levels.Store(pressure.NodeFsAvailable, int64(110<<30))
		after(2 * imageGCPeriod)
		if got := g.images.left(); len(got) != 1 {
			t.Errorf("left are %q: the disk of the pods is full, not that of the images", got)
		}
		g.levels.Delete(pressure.NodeFsAvailable)
		g.levels.Store(pressure.ImageFsAvailable, int64(150<<30))
		after(2 * imageGCPeriod)
		if got := g.images.left(); len(got) != 0 {
			t.Errorf("left are %q: the disk of the images is full", got)
		}
	})
}

func TestImageGC_Need(t *testing.T) {
	const capacity = 1000
	for _, c := range []struct {
		high, low       int
		available, want int64
	}{
		{85, 80, 500, 0},
		{85, 80, 160, 0},  // 84 %
		{85, 80, 151, 49}, // 84.9 %: what is free is rounded down, as kubelet has it
		{85, 80, 150, 50}, // 85 %: down to 80 %
		{85, 80, 0, 200},
		{90, 50, 100, 400},
		{100, 80, 0, 0}, // never
	} {
		gc := ImageGC{High: c.high, Low: c.low}
		d := pressure.Level{Capacity: capacity, Available: c.available}
		if got := gc.need(d); got != c.want {
			t.Errorf("high %d low %d, %d of %d free (%d%% used): got %d, want %d", c.high, c.low, c.available, capacity, percentUsed(d), got, c.want)
		}
	}
}

func TestImageGC_Validate(t *testing.T) {
	for _, c := range []struct {
		gc   ImageGC
		want string
	}{
		{ImageGC{}, ""},
		{ImageGC{High: 100, Low: 100}, ""},
		{ImageGC{High: 70}, ""}, // low follows
		{ImageGC{High: 101}, "percentages are 0 to 100"},
		{ImageGC{High: -1}, "percentages are 0 to 100"},
		{ImageGC{High: 50, Low: 60}, "above the 50%"},
		{ImageGC{MinAge: -time.Second}, "must not be negative"},
		{ImageGC{MinAge: time.Hour, MaxAge: time.Minute}, "below the minimum"},
	} {
		err := c.gc.validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.gc, err, c.want)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for in, want := range map[int64]string{12: "12 B", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 3 << 30: "3.0 GiB", 2 << 40: "2.0 TiB"} {
		if got := formatBytes(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
}

func TestStatusImages(t *testing.T) {
	list := []image.Listed{
		{ID: "a", Size: 1, Refs: []string{"a:1"}},
		{ID: "b", Size: 3, Refs: []string{"b:1", "b:2", "b:3"}, Digests: []string{"b@1", "b@2", "b@3"}},
		{ID: "c", Size: 2},
	}
	got := statusImages(list)
	if len(got) != 3 || got[0].SizeBytes != 3 || !slices.Equal(got[0].Names, []string{"b@1", "b@2", "b@3", "b:1", "b:2"}) || got[2].Names[0] != "a:1" {
		t.Errorf("got %+v, want the largest first with five names", got)
	}
	for range 100 {
		list = append(list, image.Listed{Size: 9})
	}
	if n := len(statusImages(list)); n != 50 {
		t.Errorf("%d images, want 50", n)
	}
	if got := statusImages(nil); got != nil {
		t.Errorf("without images: %+v", got)
	}
}

// What is about to follow a run is in use, also where it is another image than the one of that name now.
func TestImageUses_OfTheNextRun(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img:1", nil))
		settle()
		w := g.worker("web")
		g.in(w, func() {
			w.o.container("main").Image.Image = &image.Image{ID: "sha256:next"}
			w.snapshot()
		})
		uses := g.r.imageUses()
		for _, id := range []string{"sha256:img:1", "sha256:next"} {
			if by := uses(&image.Listed{ID: id}); by != "pod default/web" {
				t.Errorf("%s is used by %q, want the pod", id, by)
			}
		}
	})
}

// A second failure in a row is told: the first may be for want of a measurement.
func TestCollect_FailsAgain(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.levels.Store(pressure.ImageFsAvailable, int64(20<<30))
		for n, want := range []int{0, 0, 1, 2} {
			if got := g.count("ImageGCFailed"); got != want {
				t.Errorf("after %d looks: %d events, want %d", n, got, want)
			}
			after(imageGCPeriod)
		}
		g.levels.Delete(pressure.ImageFsAvailable)
		after(imageGCPeriod)
		g.levels.Store(pressure.ImageFsAvailable, int64(20<<30))
		before := g.count("ImageGCFailed")
		after(imageGCPeriod)
		if got := g.count("ImageGCFailed"); got != before {
			t.Errorf("%d events more after one failure, want none", got-before)
		}
	})
}
