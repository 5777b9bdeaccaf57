package volume

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/runtime/oci"
)

// visible is what a container sees, as "name=content mode" sorted by name.
func visible(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		real, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(real, func(name string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(name)
			rel, _ := filepath.Rel(filepath.Dir(real), name)
			out = append(out, rel+"="+string(data))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func file(text string) File { return File{Data: []byte(text), Mode: 0o644, UID: -1} }

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name    string
		p       Payload
		want    string
		changed bool
	}{
		{"first", Payload{"a": file("1"), "sub/b": file("2")}, "a=1 sub/b=2", true},
		{"same again", Payload{"a": file("1"), "sub/b": file("2")}, "a=1 sub/b=2", false},
		{"changed", Payload{"a": file("3"), "sub/b": file("2")}, "a=3 sub/b=2", true},
		{"mode", Payload{"a": {Data: []byte("3"), Mode: 0o600, UID: -1}, "sub/b": file("2")}, "a=3 sub/b=2", true},
		{"removed and added", Payload{"c": file("4")}, "c=4", true},
		{"directory becomes file", Payload{"sub": file("5")}, "sub=5", true},
		{"empty", Payload{}, "", true},
	} {
		changed, err := Write(dir, tt.p, -1)
		if err != nil || changed != tt.changed || visible(t, dir) != tt.want {
			t.Errorf("%s: changed %v, %v, files %q, want %v and %q", tt.name, changed, err, visible(t, dir), tt.changed, tt.want)
		}
		versions, _ := filepath.Glob(filepath.Join(dir, versionGlob))
		if len(versions) != 1 {
			t.Errorf("%s: %d versions are left, want 1", tt.name, len(versions))
		}
	}
}

// A reader that goes through ..data sees the old set or the new one.
func TestWrite_AtOnce(t *testing.T) {
	dir := t.TempDir()
	if _, err := Write(dir, Payload{"a": file("1"), "b": file("1")}, -1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var err error
		for i := range 200 {
			v := string(rune('0' + i%10))
			if _, err = Write(dir, Payload{"a": file(v), "b": file(v)}, -1); err != nil {
				break
			}
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		version, err := os.Readlink(filepath.Join(dir, dataLink))
		if err != nil {
			t.Fatal(err)
		}
		a, errA := os.ReadFile(filepath.Join(dir, version, "a"))
		b, errB := os.ReadFile(filepath.Join(dir, version, "b"))
		if errA == nil && errB == nil && string(a) != string(b) {
			t.Fatalf("a version holds %q and %q", a, b)
		}
	}
}

func TestWrite_AfterACrash(t *testing.T) {
	dir := t.TempDir()
	if _, err := Write(dir, Payload{"a": file("1")}, -1); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "..v123"), 0o755); err != nil { // half a version
		t.Fatal(err)
	}
	if err := os.Symlink("..v123", filepath.Join(dir, newDataLink)); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "a"))
	if changed, err := Write(dir, Payload{"a": file("1")}, -1); err != nil || changed || visible(t, dir) != "a=1" {
		t.Errorf("changed %v, %v, files %q, want a healed volume", changed, err, visible(t, dir))
	}
}

func facts() *oci.Facts {
	return &oci.Facts{
		Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "d", Labels: map[string]string{"a": "b"}}},
		ConfigMap: func(name string) *corev1.ConfigMap {
			if name != "cm" {
				return nil
			}
			return &corev1.ConfigMap{Data: map[string]string{"x": "1"}, BinaryData: map[string][]byte{"bin": {0}}}
		},
		Secret: func(string) *corev1.Secret { return nil },
	}
}

func TestBuild(t *testing.T) {
	yes, mode := true, int32(0o400)
	ref := corev1.LocalObjectReference{Name: "cm"}
	none := corev1.LocalObjectReference{Name: "none"}
	for _, tt := range []struct {
		name string
		v    corev1.VolumeSource
		want string
		err  string
	}{
		{"all keys", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref}}, "bin x", ""},
		{"items", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref, Items: []corev1.KeyToPath{{Key: "x", Path: "d/y", Mode: &mode}}}}, "d/y", ""},
		{"no such key", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref, Items: []corev1.KeyToPath{{Key: "z", Path: "z"}}}}, "", "references non-existent configmap key: z"},
		{"absent", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: none}}, "", `configmap "none" not found`},
		{"absent and optional", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: none, Optional: &yes}}, "", ""},
		{"escape", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref, Items: []corev1.KeyToPath{{Key: "x", Path: "../y"}}}}, "", "is not allowed in a volume"},
		{"the writer's own names", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref, Items: []corev1.KeyToPath{{Key: "x", Path: "..data"}}}}, "", "is not allowed in a volume"},
		{"projected", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: ref}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}},
		}}}, "bin name x", ""},
		{"token without issuer", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}}}}, "", "not issued by this node"},
	} {
		p, err := Build(facts(), &corev1.Volume{Name: "v", VolumeSource: tt.v}, nil)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if got := strings.Join(slices.Sorted(maps.Keys(p)), " "); err != nil || got != tt.want {
			t.Errorf("%s: files %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestOpenBeneath(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir()
	for link, to := range map[string]string{"out": outside, "up": "../..", "in": "sub"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		sub  string
		want string // relative to dir; empty is a refusal
	}{{"sub", "sub"}, {"in", "sub"}, {"made/here", "made/here"}, {"../..", "."}, {"out", ""}, {"up", ""}, {"out/x", ""}} {
		h, err := OpenBeneath(dir, tt.sub)
		if err != nil {
			if tt.want != "" {
				t.Errorf("%s: %v, want %s", tt.sub, err, tt.want)
			}
			continue
		}
		if tt.want == "" || h.Real() != filepath.Join(dir, tt.want) {
			t.Errorf("%s: opened %s, want %q", tt.sub, h.Real(), tt.want)
		}
		h.Close()
	}
}

func TestHide(t *testing.T) {
	base := t.TempDir()
	data := filepath.Join(base, "var", "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		real, want string
		refused    bool
	}{
		{data, "", true}, {filepath.Join(data, "layers"), "", true}, {filepath.Join(base, "var"), "data", false}, {base, "var/data", false},
		{filepath.Join(base, "var", "data2"), "", false}, {"/elsewhere", "", false},
	} {
		hidden, err := hide(tt.real, []string{data, filepath.Join(base, "none")})
		if (err != nil) != tt.refused || strings.Join(hidden, " ") != tt.want {
			t.Errorf("hide(%s) is %q, %v, want %q, refused %v", tt.real, hidden, err, tt.want, tt.refused)
		}
	}
}
