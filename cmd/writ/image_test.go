package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/api/control"
	"writ/manifest"
	"writ/runtime/image"
	"writ/state"
)

func TestPrintImages(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	images := []control.Image{
		{ID: "sha256:0123456789abcdef", References: []string{"docker.io/library/nginx:1.25", "docker.io/library/nginx:latest"}, Size: 71_234_567,
			Created: now.Add(-72 * time.Hour), LastUsed: now.Add(-time.Minute), Kept: []string{"pod shop/web", "adopted commit 12345678"}},
		{ID: "sha256:fedcba9876543210", Digests: []string{"a.example/b@sha256:00"}, Size: 999, Created: time.Unix(0, 0)},
	}
	var out bytes.Buffer
	if err := printImages(&out, images, now, false); err != nil {
		t.Fatal(err)
	}
	want := `REFERENCE                       ID            SIZE   CREATED  LAST USED  KEPT FOR
docker.io/library/nginx:1.25    0123456789ab  71 MB  3d       60s        pod shop/web (+1)
docker.io/library/nginx:latest  0123456789ab  71 MB  3d       60s        pod shop/web (+1)
a.example/b@sha256:00           fedcba987654  999 B  -        -          -
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	if err := printImages(&out, images, now, true); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"0123456789abcdef", "pod shop/web, adopted commit 12345678"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("wide lacks %q:\n%s", part, out.String())
		}
	}
}

func TestPrintPruned(t *testing.T) {
	img := control.Image{References: []string{"a:1"}}
	for _, c := range []struct {
		p    control.Pruned
		want string
	}{
		{control.Pruned{Images: []control.Image{img}, Bytes: 1500}, "removed a:1\nfreed 1.5 kB\n"},
		{control.Pruned{Images: []control.Image{img}, Bytes: 10_400_000_000, DryRun: true}, "would remove a:1\nwould free 10 GB\n"},
		{control.Pruned{}, "every image is kept for something: nothing to remove\n"},
	} {
		var out bytes.Buffer
		printPruned(&out, c.p)
		if out.String() != c.want {
			t.Errorf("got %q, want %q", out.String(), c.want)
		}
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_499: "999 kB", 999_500: "1.0 MB", 12_345_678: "12 MB", 5e12: "5.0 TB"} {
		if got := size(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
}

func TestImage_UsedWrongly(t *testing.T) {
	for _, args := range [][]string{{"image", "ls", "x"}, {"image", "load", "a", "b"}, {"image", "prune", "x"}, {"image", "ls", "-o", "xml"}, {"image", "what"}} {
		if code, _, errOut := writ(t, args...); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d: %s", args, code, exitUsage, errOut)
		}
	}
	for _, args := range [][]string{{"image", "ls", "--run-dir", t.TempDir()}, {"image", "load", "/does/not/exist.tar"}, {"image", "load", t.TempDir()}} {
		if code, _, errOut := writ(t, args...); code != exitError || errOut == "" {
			t.Errorf("%q: exit code %d, want %d: %s", args, code, exitError, errOut)
		}
	}
}

func TestShownImages_NoNullLists(t *testing.T) {
	got := shownImages([]image.Listed{{ID: "x"}})[0]
	if got.References == nil || got.Digests == nil || got.Kept == nil || shownImages(nil) == nil {
		t.Errorf("null lists in %+v", got)
	}
}

func TestImagesOf_TheCommit(t *testing.T) {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Image: "init:1"}}, Containers: []corev1.Container{{Image: "web:1"}}}}
	pod := func(image string) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
	}
	w, _, err := state.Apply(state.NewWorld(uuid.New()), state.Batch{
		Writer: state.WriterReconcile, Now: time.Unix(1700000000, 0), Adopt: &state.Adoption{Commit: "aaaa"},
		Puts: []state.Put{
			{Ref: manifest.DeploymentRef("shop", "web"), Origin: state.Authored, Object: &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: template}}},
			{Ref: manifest.PodRef("shop", "own"), Origin: state.Authored, Object: pod("own:1")},
			{Ref: manifest.PodRef("shop", "made"), Origin: state.Derived, Object: pod("made:1")}, // by an owner, maybe of an older commit
		},
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := imagesOf(w), []string{"init:1", "own:1", "web:1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// oneWorld never changes.
type oneWorld struct{ w *state.World }

func (o oneWorld) World() *state.World                    { return o.w }
func (o oneWorld) Changed(state.Revision) <-chan struct{} { return nil }

// fullDisk refuses what it is told so many times.
type fullDisk struct {
	refusals int
	told     []string
}

func (f *fullDisk) Adopted(commit string, _ []string) error {
	if f.refusals > 0 {
		f.refusals--
		return errors.New("no space left on device")
	}
	f.told = append(f.told, commit)
	return nil
}

func TestPinImages_AgainWhenTheDiskWasFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, err := state.Apply(state.NewWorld(uuid.New()), state.Batch{
			Writer: state.WriterReconcile, Now: time.Unix(1700000000, 0), Adopt: &state.Adoption{Commit: "aaaa"},
		}, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		disk := fullDisk{refusals: 3}
		if err := pinImages(ctx, oneWorld{w}, &disk, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if want := []string{"aaaa"}; !slices.Equal(disk.told, want) {
			t.Errorf("pinned are the images of %q, want %q", disk.told, want)
		}
	})
}
