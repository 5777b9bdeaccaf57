package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// hashed is a file system whose files and folders tell what identifies their content, as the one of a
// commit does, and find things quickly. It notes the files that are opened.
type hashed struct {
	fstest.MapFS
	infos  map[string]identified
	lists  map[string][]fs.DirEntry
	opened *[]string
}

func newHashed(files fstest.MapFS) hashed {
	h := hashed{files, map[string]identified{}, map[string][]fs.DirEntry{}, new([]string)}
	below := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h.put(name, files[name].Mode, len(files[name].Data), string(files[name].Data))
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			below[dir] = append(below[dir], name+" "+h.infos[name].id)
			if dir == "." {
				break
			}
		}
	}
	for dir, lines := range below {
		h.put(dir, fs.ModeDir, 0, strings.Join(lines, "\n"))
	}
	return h
}

func (h hashed) put(name string, mode fs.FileMode, size int, content string) {
	sum := sha256.Sum256([]byte(content))
	info := identified{path.Base(name), hex.EncodeToString(sum[:]), mode, int64(size)}
	h.infos[name] = info
	if name != "." {
		h.lists[path.Dir(name)] = append(h.lists[path.Dir(name)], fs.FileInfoToDirEntry(info))
	}
}

// with is the file system with one file changed, or removed if text is empty.
func (h hashed) with(name, text string) hashed {
	files := maps.Clone(h.MapFS)
	if text == "" {
		delete(files, name)
	} else {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return newHashed(files)
}

func (h hashed) ReadFile(name string) ([]byte, error) {
	*h.opened = append(*h.opened, name)
	return h.MapFS.ReadFile(name)
}

func (h hashed) ReadLink(name string) (string, error) { return h.MapFS.ReadLink(name) }

func (h hashed) Lstat(name string) (fs.FileInfo, error) {
	info, found := h.infos[name]
	if !found {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
	}
	return info, nil
}

func (h hashed) ReadDir(name string) ([]fs.DirEntry, error) { return slices.Clone(h.lists[name]), nil }

// identified is a fs.FileInfo that tells the identity of the content.
type identified struct {
	name, id string
	mode     fs.FileMode
	size     int64
}

type id string

func (i id) ContentID() string          { return string(i) }
func (i identified) Sys() any           { return id(i.id) }
func (i identified) Name() string       { return i.name }
func (i identified) Size() int64        { return i.size }
func (i identified) Mode() fs.FileMode  { return i.mode }
func (i identified) IsDir() bool        { return i.mode.IsDir() }
func (i identified) ModTime() time.Time { return time.Time{} }

// deployments makes n deployments, ten in a folder.
func deployments(n int) fstest.MapFS {
	files := fstest.MapFS{"namespace.yaml": {Data: []byte(shop)}}
	for i := range n {
		text := strings.ReplaceAll(web, "web", fmt.Sprintf("web-%05d", i))
		files[fmt.Sprintf("apps/group-%04d/web-%05d.yaml", i/10, i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

// describeSet is everything about a Set, for comparing two.
func describeSet(s *Set) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Digest(), s.Settings(), s.Warnings().Error())
	for item := range s.All() {
		data, _ := Encode(item.Object)
		fmt.Fprintf(&b, "%s %s %v %x\n", item.Ref, item.Source, item.NotYet, sha256.Sum256(data))
	}
	return b.String()
}

func TestLoad_TakesOverWhatIsUnchanged(t *testing.T) {
	first := newHashed(deployments(50))
	set := mustLoad(t, first, nil)
	name := "apps/group-0002/web-00023.yaml"
	second := first.with(name, strings.ReplaceAll(web, "web", "web-00023")+"---\n"+strings.ReplaceAll(web, "web", "new"))
	next := mustLoad(t, second, set)
	if got := *second.opened; !slices.Equal(got, []string{name}) {
		t.Errorf("opened %v, want only the changed file", got)
	}
	if fresh := mustLoad(t, second, nil); describeSet(next) != describeSet(fresh) {
		t.Errorf("with prev:\n%swithout:\n%s", describeSet(next), describeSet(fresh))
	}
	before, _ := set.Get(DeploymentRef("shop", "web-00024"))
	after, _ := next.Get(DeploymentRef("shop", "web-00024"))
	if before.Object != after.Object {
		t.Error("an unchanged object is not the same pointer")
	}
	back := mustLoad(t, first, next)
	if back.Digest() != set.Digest() || describeSet(back) != describeSet(set) {
		t.Error("going back does not give the first Set again")
	}
}

// TestLoad_IncrementalEqualsFull changes a tree at random steps and compares each with a full load.
func TestLoad_IncrementalEqualsFull(t *testing.T) {
	crd := `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: %s
  names: {kind: Widget, plural: widgets, singular: widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`
	widget := "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w%s}\n"
	steps := []struct{ name, text string }{
		{"w/a.yaml", fmt.Sprintf(widget, "")},
		{"w/b.yaml", fmt.Sprintf(widget, ", namespace: default")},
		{"w/a.yaml", fmt.Sprintf(widget, ", namespace: kube-system")},
		{"x/crd.yaml", fmt.Sprintf(crd, "Namespaced")},
		{"w/b.yaml", ""},
		{"w/a.yaml", fmt.Sprintf(widget, "")},
		{"w/b.yaml", fmt.Sprintf(widget, ", namespace: default")},
		{"x/crd.yaml", ""},
		{"w/b.yaml", ""},
		{"x/crd.yaml", fmt.Sprintf(crd, "Cluster")},
		{"namespace.yaml", ""},
		{"moved/namespace.yaml", shop},
		{"apps/group-0000/web-00003.yaml", ""},
		{"apps/.writignore", "group-0001\n"},
		{"apps/.writignore", "web-00012.yaml\n"},
		{".writignore", "group-0001/\n"},
		{".writignore", ""},
		{"writ.yaml", "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {podCIDR: 10.1.0.0/16}\n"},
		{"apps/dup.yaml", strings.ReplaceAll(web, "web", "web-00005")},
		{"apps/dup.yaml", ""},
		{"apps/overlap.yaml", strings.Replace(strings.ReplaceAll(web, "web", "web-00006"), "name: web-00006", "name: other", 1)},
		{"apps/overlap.yaml", ""},
		{"svc/a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec:\n  selector: {app: web-00007, x: z}\n  ports: [{port: 80}]\n"},
		{"svc/b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n  annotations:\n    config.kubernetes.io/depends-on: /namespaces/shop/Service/s\n"},
		{"svc/a.yaml", "# moved down\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec:\n  selector: {app: web-00007}\n  ports: [{port: 80, targetPort: web}]\n"},
		{"svc/a.yaml", "\n\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec:\n  selector: {app: gone}\n  ports: [{port: 80}]\n"},
		{"apps/group-0000/web-00004.yaml", strings.ReplaceAll(web, "web", "web-00004") + "      imagePullSecrets: [{name: x}]\n"},
		{"svc/a.yaml", ""},
		{"svc/b.yaml", ""},
	}
	now := newHashed(deployments(30))
	set := mustLoad(t, now, nil)
	for i, step := range steps {
		now = now.with(step.name, step.text)
		fresh, wantErr := Load(now, nil)
		next, err := Load(now, set)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("step %d %s: with prev:\n%v\nwithout:\n%v", i, step.name, err, wantErr)
		}
		if err != nil {
			continue
		}
		if got, want := describeSet(next), describeSet(fresh); got != want {
			t.Fatalf("step %d %s: with prev:\n%s\nwithout:\n%s", i, step.name, got, want)
		}
		set = next
	}
}

func TestLoad_DigestIsIndependentOfPaths(t *testing.T) {
	files := deployments(20)
	moved := fstest.MapFS{}
	var all []string
	for name, f := range files {
		moved["z/"+path.Base(name)] = f
		all = append(all, string(f.Data))
	}
	a, b := mustLoad(t, files, nil), mustLoad(t, moved, nil)
	c := mustLoad(t, fstest.MapFS{"all.yml": {Data: []byte(strings.Join(all, "\n---\n"))}}, nil)
	if a.Digest() != b.Digest() || a.Digest() != c.Digest() {
		t.Errorf("digests %s %s %s, want equal", a.Digest(), b.Digest(), c.Digest())
	}
	files["writ.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {clusterDomain: x.local}\n")}
	if d := mustLoad(t, files, nil); d.Digest() == a.Digest() {
		t.Error("other settings have the same digest")
	}
}

// BenchmarkWhole is the checks of the whole over 10,000 objects, half of them Deployments that read a
// ConfigMap, a quarter Services.
func BenchmarkWhole(b *testing.B) {
	files := fstest.MapFS{}
	for i := range 2500 {
		name := fmt.Sprintf("web-%05d", i)
		text := strings.ReplaceAll(app(name, "containers: [{name: c, image: c, envFrom: [{configMapRef: {name: "+name+"}}], ports: [{name: web, containerPort: 80}]}]")+"---\n"+
			app(name+"-b", "containers: [{name: c, image: c, envFrom: [{configMapRef: {name: "+name+"}}]}]")+"---\n"+
			configMap(name)+"---\n"+svc(name, "selector: {app: "+name+"}\nports: [{port: 80, targetPort: web}]"), "kind: ConfigMap\n", "kind: ConfigMap\ndata: {a: b}\n")
		files[name+".yaml"] = &fstest.MapFile{Data: []byte(text)}
	}
	set := mustLoad(b, files, nil)
	if len(set.Warnings()) > 0 {
		b.Fatal(set.Warnings())
	}
	for b.Loop() {
		l := &loader{}
		l.whole(set.objects, set.settings.Spec)
		if len(l.found)+len(l.hints) > 0 {
			b.Fatal("mistakes")
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	first := newHashed(deployments(10_000))
	set := mustLoad(b, first, nil)
	name := "apps/group-0123/web-01234.yaml"
	second := first.with(name, strings.ReplaceAll(web, "web", "web-01234")+"      nodeSelector: {a: b}\n")
	b.Run("OneFileOf10000", func(b *testing.B) {
		for b.Loop() {
			mustLoad(b, second, set)
		}
	})
	b.Run("Everything10000", func(b *testing.B) {
		for b.Loop() {
			mustLoad(b, first, nil)
		}
	})
}
