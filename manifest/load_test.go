package manifest

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// tree makes a file system of "-- name --" sections.
func tree(t testing.TB, text string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for _, section := range strings.Split("\n"+text, "\n-- ")[1:] {
		name, body, found := strings.Cut(section, " --\n")
		if !found {
			t.Fatalf("section %q has no name", section)
		}
		files[name] = &fstest.MapFile{Data: []byte(body + "\n")}
	}
	return files
}

func mustLoad(t testing.TB, fsys fs.FS, prev *Set) *Set {
	t.Helper()
	set, err := Load(fsys, prev)
	if err != nil {
		t.Fatalf("Load:\n%v", err)
	}
	return set
}

func mistakesOf(t testing.TB, fsys fs.FS) string {
	t.Helper()
	_, err := Load(fsys, nil)
	var ms Mistakes
	if err != nil && !errors.As(err, &ms) {
		t.Fatalf("Load: %v, want Mistakes", err)
	}
	return ms.Error()
}

const web = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: web:1
`

const shop = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
`

func TestLoad_DefaultsAndPlaces(t *testing.T) {
	fsys := tree(t, "-- a/web.yaml --\n# a comment\n---\n"+web+"---\n"+shop+"-- b.json --\n"+
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"b"}}`)
	set := mustLoad(t, fsys, nil)
	if set.Len() != 3 {
		t.Fatalf("Len = %d, want 3", set.Len())
	}
	item, ok := set.Get(DeploymentRef("shop", "web"))
	if !ok {
		t.Fatal("the deployment is not there")
	}
	if want := (Source{"a/web.yaml", 3}); item.Source != want {
		t.Errorf("source %v, want %v", item.Source, want)
	}
	d := item.Object.(*appsv1.Deployment)
	if d.Spec.Replicas == nil || *d.Spec.Replicas != 1 || d.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		t.Errorf("not defaulted: %+v", d.Spec)
	}
	if d.Kind != "Deployment" || d.APIVersion != "apps/v1" || d.Generation != 0 || d.UID != "" {
		t.Errorf("metadata %v %v", d.TypeMeta, d.ObjectMeta)
	}
	if _, ok := set.Get(ConfigMapRef("default", "c")); !ok {
		t.Error("an object without a namespace is not in default")
	}
	if set.Settings().Spec.PodCIDR != "10.244.0.0/16" {
		t.Errorf("settings %+v", set.Settings())
	}
}
