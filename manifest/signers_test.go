package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// patterns knows entries whose paths are folders, and one that is wrong.
type patterns struct{}

func (patterns) Check(s Signer) error {
	if s.Keys[0] == "wrong" {
		return errors.New("is no key")
	}
	return nil
}

func (patterns) Covers(s Signer, folder, name string) bool {
	return strings.HasPrefix(name, path.Join(folder, s.Path)+"/")
}

// base renders one object from a file, with another one looked at.
type base struct{ text, from, reads string }

func (b base) Render(fsys fs.FS, units []Unit) ([]Rendering, error) {
	return []Rendering{{
		Documents: []Rendered{{Text: []byte(b.text), Source: Source{Path: b.from, Line: 1}}},
		Inputs:    []Input{{Path: units[0].Source.Path, ID: InputID(fsys, units[0].Source.Path, false)}, {Path: b.reads, ID: InputID(fsys, b.reads, false)}},
	}}, nil
}

const shopSigners = "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  signers:\n  - path: shop\n    keys: [k]\n"

func TestSigners_Privileged(t *testing.T) {
	pod := func(name, spec string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  containers: [{name: c, image: c%s\n", name, spec)
	}
	const host = "}]\n  hostNetwork: true\n"
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	link := func(to string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
	}
	settings := file(shopSigners)
	for name, c := range map[string]struct {
		tree fstest.MapFS
		base base
		says string
	}{
		"nothing of it":        {tree: fstest.MapFS{"shop/a.yaml": file(pod("a", "}]"))}},
		"elsewhere":            {tree: fstest.MapFS{"infra/a.yaml": file(pod("a", host))}},
		"host network":         {tree: fstest.MapFS{"shop/a.yaml": file(pod("a", host))}, says: "shop/a.yaml:4: Pod/default/a: spec: asks for privileges on the node (host namespaces (hostNetwork=true)"},
		"host processes":       {tree: fstest.MapFS{"shop/a.yaml": file(pod("a", "}]\n  hostPID: true"))}, says: "hostPID=true"},
		"privileged":           {tree: fstest.MapFS{"shop/a.yaml": file(pod("a", ", securityContext: {privileged: true}}]"))}, says: `privileged (container "c" must not set securityContext.privileged=true)`},
		"capability":           {tree: fstest.MapFS{"shop/a.yaml": file(pod("a", ", securityContext: {capabilities: {add: [SYS_ADMIN]}}}]"))}, says: "SYS_ADMIN"},
		"harmless capability":  {tree: fstest.MapFS{"shop/a.yaml": file(pod("a", ", securityContext: {capabilities: {add: [NET_BIND_SERVICE]}}}]"))}},
		"host folder":          {tree: fstest.MapFS{"shop/a.yaml": file(pod("a", "}]\n  volumes: [{name: v, hostPath: {path: /etc}}]"))}, says: `hostPath volumes (volume "v")`},
		"host port":            {tree: fstest.MapFS{"shop/a.yaml": file(pod("a", ", ports: [{containerPort: 80, hostPort: 80}]}]"))}, says: "hostPort"},
		"template":             {tree: fstest.MapFS{"shop/a.yaml": file(app("a", plain+"\nhostIPC: true"))}, says: "shop/a.yaml:8: Deployment/default/a: spec.template.spec: asks"},
		"volume of the node":   {tree: fstest.MapFS{"shop/a.yaml": file("apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v}\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /etc}}\n")}, says: "a folder of the node as a volume"},
		"by a link of a file":  {tree: fstest.MapFS{"infra/a.yaml": link("../shop/a.txt"), "shop/a.txt": file(pod("a", host))}, says: "infra/a.yaml:4: Pod/default/a: spec: asks"},
		"by a link of links":   {tree: fstest.MapFS{"infra": link("away"), "away": link("shop/in"), "shop/in/a.yaml": file(pod("a", host)), ".writignore": file("/shop\n/away\n")}, says: "infra/a.yaml:4: "},
		"rendered from there":  {tree: fstest.MapFS{"prod/kustomization.yaml": file(""), "shop/x": file("")}, base: base{pod("a", host), "shop/x", "shop/x"}, says: "shop/x:"},
		"rendered with a file": {tree: fstest.MapFS{"prod/kustomization.yaml": file(""), "base/x": file(""), "shop/patch": file("")}, base: base{pod("a", host), "base/x", "shop/patch"}, says: "not allowed by way of shop/patch where"},
		"rendered without":     {tree: fstest.MapFS{"prod/kustomization.yaml": file(""), "base/x": file(""), "shop/patch": file("")}, base: base{pod("a", host), "base/x", "base/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.tree["writ.yaml"] = settings
			_, err := Loader{Renderer: c.base, Signing: patterns{}}.Load(c.tree, nil)
			var ms Mistakes
			if err != nil && !errors.As(err, &ms) {
				t.Fatal(err)
			}
			if c.says == "" && len(ms) > 0 || c.says != "" && (len(ms) != 1 || !strings.Contains(ms[0].String(), c.says) || !strings.Contains(ms[0].What, "keys for shop only")) {
				t.Errorf("%v, want %q", ms, c.says)
			}
		})
	}
}

// A node-trusted key changes who may do what, with nothing else changed: all objects are looked at again.
func TestSigners_Changed(t *testing.T) {
	files := fstest.MapFS{"shop/a.yaml": {Data: []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: true, containers: [{name: c, image: c}]}\n")}}
	loader := Loader{Signing: patterns{}}
	set, err := loader.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	files["writ.yaml"] = &fstest.MapFile{Data: []byte(shopSigners)}
	if _, err := loader.Load(files, set); err == nil || !strings.Contains(err.Error(), "shop/a.yaml:4: ") {
		t.Errorf("with signers: %v", err)
	}
	files["writ.yaml"] = &fstest.MapFile{Data: []byte(shopSigners + "    allowPrivileged: true\n")}
	set, err = loader.Load(files, set)
	if err != nil {
		t.Fatal(err)
	}
	if s := set.Settings().Spec.Signers; len(s) != 1 || !s[0].AllowPrivileged || s[0].Path != "shop" || s[0].Keys[0] != "k" {
		t.Errorf("signers are %+v", s)
	}
	// A wider entry that allows it does not help a narrower one that does not.
	files["writ.yaml"] = &fstest.MapFile{Data: []byte(shopSigners + "  - {path: ., keys: [k], allowPrivileged: true}\n")}
	if _, err := loader.Load(files, set); err == nil || !strings.Contains(err.Error(), "asks for privileges") {
		t.Errorf("with an entry around it: %v", err)
	}
}

func TestSigners_Mistakes(t *testing.T) {
	for text, want := range map[string]string{
		shopSigners + "    key: [x]\n":                          `writ.yaml:7: unknown field "spec.signers[0].key"`,
		shopSigners + "  - path: b\n    keys: [wrong]\n":        "writ.yaml:7: spec.signers[1]: is no key",
		shopSigners + "    allowPrivileged: maybe\n":            "writ.yaml:",
		strings.Replace(shopSigners, "keys: [k]", "keys: k", 1): "writ.yaml:",
	} {
		_, err := Loader{Signing: patterns{}}.Load(fstest.MapFS{"writ.yaml": {Data: []byte(text)}}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if _, err := Load(fstest.MapFS{"writ.yaml": {Data: []byte(shopSigners)}}, nil); err == nil || !strings.Contains(err.Error(), "writ.yaml:5: spec.signers[0]: cannot be checked here") {
		t.Errorf("without anybody who knows keys: %v", err)
	}
}
