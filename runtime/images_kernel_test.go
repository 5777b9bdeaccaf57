//go:build kernel

package runtime

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/fixtures/images"
	"writ/fixtures/registry"
	"writ/runtime/image"
	"writ/state"
)

// busybox is an image that runs, with layers on top.
func busybox(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	spec, err := images.Find("busybox:1.0")
	if err != nil {
		t.Fatal(err)
	}
	var b images.Builder
	img, err := b.Image(t.Context(), spec)
	if err == nil {
		img, err = mutate.AppendLayers(img, layers...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// tarLayer is a layer of entries, as they are.
func tarLayer(t *testing.T, c compression.Compression, headers ...tar.Header) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range headers {
		h := headers[i]
		text := ""
		if h.Typeflag == tar.TypeReg {
			text = "text"
		}
		h.Size = int64(len(text))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	options := []tarball.LayerOption{tarball.WithCompression(c)}
	if c == compression.ZStd {
		options = append(options, tarball.WithMediaType(types.OCILayerZStd))
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, options...)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func pushed(t *testing.T, reg *registry.Registry, img v1.Image, name string) string {
	t.Helper()
	ref := reg.Host + "/" + name
	if err := images.Push(context.Background(), img, ref, reg.Auth()); err != nil {
		t.Fatal(err)
	}
	return ref
}

// waits waits until a Pod's container waits for a reason, and gives the message.
func (b *bed) waits(ns, name, reason string) string {
	b.t.Helper()
	s := b.world.await(b.t, ns, name, reason, 30*time.Second, func(s *corev1.PodStatus) bool {
		return len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].State.Waiting != nil && s.ContainerStatuses[0].State.Waiting.Reason == reason
	})
	return s.ContainerStatuses[0].State.Waiting.Message
}

func (b *bed) heard(part string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.events, func(e state.Event) bool { return strings.Contains(e.Reason+": "+e.Message, part) })
}

func TestImages_PrivateRegistry(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reg := registry.Start(t)
	ref := pushed(t, reg, busybox(t), "team/app:v")
	reg.RequirePassword("ann", "tea")
	named := func(ns string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Namespace = ns
			p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "key"}}
			sh("sleep 1000")(p)
		}
	}
	secret := func(password string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "key"}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: images.DockerConfig(reg.Host+"/team", "ann", password)}}
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", ref, named("default")), pod("app", ref, named("blue")), secret("coffee"))
	if text := b.waits("default", "app", "ImagePullBackOff"); !strings.Contains(text, "authentication required") || strings.Contains(text, "coffee") {
		t.Errorf("with a wrong password: %q", text)
	}
	b.waits("blue", "app", "ImagePullBackOff")
	if want := "FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (key); attempting to pull the image may not succeed."; !b.heard(want) {
		t.Errorf("no event %q", want)
	}
	// A better secret is a commit; nobody waits for the back-off.
	b.world.adopt(t, b.cfg.Node, "c2", secret("tea"))
	s := b.isReady("app")
	if got := s.ContainerStatuses[0].ImageID; !strings.HasPrefix(got, reg.Host+"/team/app@sha256:") {
		t.Errorf("imageID is %q", got)
	}
	// What one namespace pulled does not serve another.
	if s := b.world.status("blue", "app"); ready(s) {
		t.Error("the other namespace runs the image without a secret")
	}
	b.world.adopt(t, b.cfg.Node, "c3", pod("never", ref, func(p *corev1.Pod) { named("blue")(p); p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever }))
	if text := b.waits("blue", "never", "ErrImageNeverPull"); !strings.Contains(text, "is not present with pull policy of Never") {
		t.Errorf("with policy Never: %q", text)
	}
}

func TestImages_FormsOfLayers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reg := registry.Start(t)
	file := func(name string, mode int64) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}
	}
	img := busybox(t, tarLayer(t, compression.ZStd, file("zstd", 0o644), file("old", 0o644)), tarLayer(t, compression.None, file("plain", 0o644), file(".wh.old", 0)),
		tarLayer(t, compression.GZip, file("setuid", 0o4755)))
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", pushed(t, reg, img, "app:v"), sh("sleep 1000")))
	b.isReady("app")
	if got := b.output("app", "sh", "-c", "cat /zstd /plain; ls /old 2>&1; stat -c %a /setuid"); got != "texttextls: /old: No such file or directory\n4755\n" {
		t.Errorf("the container sees %q", got)
	}
	if !b.heard(`Pulled: Successfully pulled image "`+reg.Host+`/app:v" in `) || !b.heard("including waiting). Image size: ") {
		t.Error("the pull is not told")
	}
	// While the registry is away, policy Always is content with what is here, and says so.
	reg.Stop()
	b.world.adopt(t, b.cfg.Node, "c2", pod("again", reg.Host+"/app:v", func(p *corev1.Pod) { sh("sleep 1000")(p); p.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways }))
	b.isReady("again")
	if !b.heard("the registry is unavailable; the image that is here is used") {
		t.Error("nothing says that the registry was not asked")
	}
}

// Each hostile image is refused with its reason or safely contained, and the node goes on.
func TestImages_Hostile(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reg := registry.Start(t)
	type h = tar.Header
	chart := mutate.ConfigMediaType(busybox(t), "application/vnd.cncf.helm.config.v1+json")
	cf, err := busybox(t).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.Architecture = "s390x"
	foreign, err := mutate.ConfigFile(busybox(t), cf)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		img  v1.Image
		want string // in the message; empty: it runs
	}{
		"dots":          {busybox(t, tarLayer(t, compression.GZip, h{Name: "../../etc/evil", Typeflag: tar.TypeReg})), "leaves the layer"},
		"hard-link":     {busybox(t, tarLayer(t, compression.GZip, h{Name: "x", Typeflag: tar.TypeLink, Linkname: "../../etc/shadow"})), "leaves the layer"},
		"absolute-link": {busybox(t, tarLayer(t, compression.GZip, h{Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"})), "no such file"},
		"whiteout-root": {busybox(t, tarLayer(t, compression.GZip, h{Name: ".wh..", Typeflag: tar.TypeReg})), "no name of a file"},
		"loop":          {busybox(t, tarLayer(t, compression.GZip, h{Name: "s", Typeflag: tar.TypeSymlink, Linkname: "s"}, h{Name: "s/x", Typeflag: tar.TypeReg})), "too many"},
		"chart":         {chart, "an artifact of type application/vnd.cncf.helm.config.v1+json"},
		"platform":      {foreign, "no image for this platform: it is for linux/s390x"},
		"device":        {busybox(t, tarLayer(t, compression.GZip, h{Name: "disk", Typeflag: tar.TypeBlock, Mode: 0o666, Devmajor: 254})), ""},
		"symlink":       {busybox(t, tarLayer(t, compression.GZip, h{Name: "out", Typeflag: tar.TypeSymlink, Linkname: b.dir}, h{Name: "out/evil", Typeflag: tar.TypeReg, Mode: 0o644})), ""},
	} {
		ref := pushed(t, reg, c.img, name+":v")
		b.world.adopt(t, b.cfg.Node, "c-"+name, pod(name, ref, sh("sleep 1000")))
		if c.want == "" {
			b.isReady(name)
			continue
		}
		if text := b.waits("default", name, "ImagePullBackOff"); !strings.Contains(text, c.want) {
			t.Errorf("%s: message is %q, want %q in it", name, text, c.want)
		}
		if !b.heard(`Failed: Failed to pull image "`+ref) || !b.heard("BackOff: Back-off pulling image \""+ref) {
			t.Errorf("%s: no event", name)
		}
		if _, found := b.images.Resolve(ref); found {
			t.Errorf("%s: the refused image is here", name)
		}
	}
	if got := b.output("device", "sh", "-c", "ls /disk 2>&1; true"); got != "ls: /disk: No such file or directory\n" {
		t.Errorf("the device of a layer: %q", got)
	}
	if got := b.output("symlink", "cat", "/out/evil"); got != "text" {
		t.Errorf("through the link, within: %q", got)
	}
	if entries := b.output("symlink", "ls", b.dir); entries != "evil\n" {
		t.Errorf("the place that the link names holds %q within the container", entries)
	}
	noEvil(t, b.dir)
}

// A registry in trouble is left alone for as long as it asks, and that is seen.
func TestImages_RegistryInTrouble(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reg := registry.Start(t)
	ref := pushed(t, reg, busybox(t), "app:v")
	reg.FailWith(http.StatusTooManyRequests, http.Header{"Retry-After": {"3600"}}, func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") })
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", ref, sh("sleep 1000")))
	if text := b.waits("default", "app", "ImagePullBackOff"); !strings.Contains(text, "429") {
		t.Errorf("message is %q", text)
	}
	// An image that is put down beside it ends the wait.
	data := archiveBytes(t, ref, busybox(t))
	if names, err := b.images.Load(t.Context(), bytes.NewReader(data)); err != nil || len(names) != 1 {
		t.Fatalf("load: %q, %v", names, err)
	}
	b.r.ImagesLoaded()
	b.isReady("app")
}

// Images go when nothing keeps them: no container, no Pod, not one of two commits, no archive.
func TestImages_Collected(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reg := registry.Start(t)
	ref := map[string]string{}
	for _, name := range []string{"running", "adopted", "before", "unused"} {
		file := tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}
		ref[name] = pushed(t, reg, busybox(t, tarLayer(t, compression.GZip, file)), name+":v")
		if _, err := b.images.Ensure(t.Context(), ref[name], corev1.PullIfNotPresent, image.Access{}); err != nil {
			t.Fatal(err)
		}
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", ref["running"], sh("sleep 1000")))
	b.isReady("app")
	for _, c := range []string{"before", "adopted"} {
		if err := b.images.Adopted("commit-"+c, []string{ref[c]}); err != nil {
			t.Fatal(err)
		}
	}
	for _, dry := range []bool{true, false} {
		out, err := b.r.PruneImages(dry)
		if err != nil || len(out.Images) != 1 || out.Images[0].Refs[0] != ref["unused"] || out.Bytes != 4 {
			t.Fatalf("dry %v: %+v, %v; want %s and the 4 bytes of its own layer", dry, out, err, ref["unused"])
		}
	}
	why := map[string]string{}
	for _, l := range b.r.Images() {
		for _, r := range l.Refs {
			why[r] = strings.Join(l.Pinned, ", ")
		}
	}
	for name, want := range map[string]string{"running": "pod default/app", "adopted": "adopted commit commit-a", "before": "previous commit commit-b"} {
		if why[ref[name]] != want {
			t.Errorf("%s is kept for %q, want %q", name, why[ref[name]], want)
		}
	}
	if got := why[busyboxImage]; got != "archive test.tar" {
		t.Errorf("the archive's image is kept for %q", got)
	}
	if got := b.output("app", "cat", "/running"); got != "text" {
		t.Errorf("the running container reads %q", got)
	}
	// What was pulled a moment ago is spared where the disk is short; what is asked for by hand is not.
	if _, err := b.images.Ensure(t.Context(), ref["unused"], corev1.PullIfNotPresent, image.Access{}); err != nil {
		t.Fatal(err)
	}
	if n, err := b.r.ReclaimImages(0); err != nil || n != 0 {
		t.Errorf("%d bytes are freed, %v; want none", n, err)
	}
}

func archiveBytes(t *testing.T, name string, img v1.Image) []byte {
	t.Helper()
	path := t.TempDir() + "/x.tar"
	if err := images.WriteDockerArchive(path, map[string]v1.Image{name: img}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// noEvil looks for what a layer tried to write outside of itself: nothing of that name may lie in the
// folders above the layers, where it would have come out.
func noEvil(t *testing.T, dir string) {
	t.Helper()
	for _, at := range []string{dir, dir + "/data", dir + "/data/layers", "/etc", "/"} {
		if _, err := os.Lstat(at + "/evil"); err == nil {
			t.Errorf("%s/evil is there", at)
		}
	}
}
