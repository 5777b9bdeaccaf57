package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	"writ/manifest"
	"writ/manifest/advice"
)

const (
	shopNamespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
	shopWeb       = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "web:1"}]
`
)

func configMap(name, more string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n" + more
}

// shopReaders are a Deployment and a DaemonSet that read a ConfigMap as variables.
func shopReaders(colour string) string {
	web := strings.Replace(shopWeb, `image: "web:1"`, `image: "web:1", envFrom: [{configMapRef: {name: app}}]`, 1)
	agent := strings.NewReplacer("kind: Deployment", "kind: DaemonSet", "name: web, namespace", "name: agent, namespace", "app: web", "app: agent").Replace(web)
	return web + "---\n" + agent + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: shop}\ndata: {colour: " + colour + "}\n"
}

// What was wrong before the branch is counted and not told, wherever it moved; what the branch brings
// is told, with what merging it would do.
func TestCheck_Base(t *testing.T) {
	old := map[string]string{
		"ns.yaml": shopNamespace, "web.yaml": shopWeb,
		"a.yaml": configMap("a", "") + "---\n" + configMap("b", "") + "---\n" + configMap("c", ""),
	}
	for _, c := range []struct {
		name    string
		base    map[string]string
		now     map[string]string
		message string // of a commit of now; else it is left uncommitted
		args    []string
		code    int
		want    []string
		without []string
	}{
		{"nothing", nil, nil, "", nil, exitFine, []string{"merging changes no object", "5 objects, no mistakes since"}, nil},
		{"only the place", nil, map[string]string{"a.yaml": "", "deep/z.yaml": "# moved\n" + old["a.yaml"]}, "", nil, exitFine, []string{"merging changes no object"}, nil},
		{"a new object", nil, map[string]string{"d.yaml": configMap("d", "")}, "", nil, exitFine, []string{"merging creates   1: ConfigMap/default/d\n"}, nil},
		{"a new image", nil, map[string]string{"web.yaml": strings.Replace(shopWeb, "web:1", "web:2", 1)}, "", nil, exitFine, []string{"merging changes   1: Deployment/shop/web\nmerging rolls     1: Deployment/shop/web\n"}, nil},
		{"what is read once changes", map[string]string{"web.yaml": shopReaders("red")}, map[string]string{"web.yaml": shopReaders("blue")}, "", nil, exitFine,
			[]string{"merging changes   1: ConfigMap/shop/app\nmerging rolls     2: Deployment/shop/web, DaemonSet/shop/agent\n"}, nil},
		{"an immutable field", nil, map[string]string{"web.yaml": strings.ReplaceAll(shopWeb, "app: web", "app: web2")}, "", nil, exitError,
			[]string{"web.yaml:5: Deployment/shop/web: spec.selector: Invalid value", "field is immutable; it differs in spec.selector.matchLabels.app (annotation writ.dev/on-immutable-change"}, []string{"merging"}},
		{"an immutable field beside a mistake", nil, map[string]string{"web.yaml": strings.ReplaceAll(shopWeb, "app: web", "app: web2"), "d.yaml": configMap("d", "dada: {}\n")}, "", nil, exitError,
			[]string{"field is immutable", `d.yaml:4: ConfigMap/default/d: unknown field "dada"`}, []string{"deletes"}},
		{"a namespace goes", nil, map[string]string{"ns.yaml": "", "web.yaml": ""}, "", nil, exitError,
			[]string{"commit HEAD deletes Namespace/shop, and with that 2 objects. Nothing of the commit is adopted.", "Allow-Delete: 2"}, []string{"merging"}},
		{"a namespace goes, and a commit says so", nil, map[string]string{"ns.yaml": "", "web.yaml": ""}, "go\n\nAllow-Delete: 2", nil, exitFine,
			[]string{"merging deletes   2: Deployment/shop/web, Namespace/shop", "the message of the merge commit has to say so too: Allow-Delete: 2"}, nil},
		{"everything goes", nil, map[string]string{"ns.yaml": "", "web.yaml": "", "a.yaml": ""}, "", nil, exitError, []string{"declares no object at all", "Allow-Delete: all"}, nil},
		{"a range changes", nil, map[string]string{"writ.yaml": "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {podCIDR: 10.1.0.0/16}\n"}, "", nil, exitError, []string{"writ.yaml: spec.podCIDR is fixed"}, nil},
		{"suspended", nil, map[string]string{"writ.yaml": "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {suspend: {reason: holidays}}\n"}, "", nil, exitFine, []string{"note: adopting is suspended by spec.suspend: holidays"}, nil},
		{"an old mistake that moved", map[string]string{"a.yaml": configMap("a", "dada: {}\n")}, map[string]string{"a.yaml": "", "b.yaml": "# moved\n\n" + configMap("a", "dada: {}\n")}, "", nil, exitFine,
			[]string{"no mistakes since", "1 mistake of main not reported"}, []string{"dada"}},
		{"the same mistake twice", map[string]string{"a.yaml": "kind: A\n"}, map[string]string{"a.yaml": "kind: A\n---\nkind: A\n"}, "", nil, exitError, []string{"a.yaml:3: ", "1 mistake of main not reported"}, []string{"a.yaml:1: "}},
		{"old duplicates further down", map[string]string{"b.yaml": configMap("a", "")}, map[string]string{"a.yaml": "#\n#\n" + old["a.yaml"]}, "", nil, exitFine, []string{"no mistakes since"}, []string{"declared twice"}},
		{"an old warning", map[string]string{"a.yaml": configMap("a", "status: {}\n")}, nil, "", []string{"--strict"}, exitFine, nil, []string{"warning"}},
		{"a new warning", nil, map[string]string{"d.yaml": configMap("d", "status: {}\n")}, "", []string{"--strict"}, exitError, []string{"warning: d.yaml:4: ConfigMap/default/d: status", "with --strict"}, nil},
		{"new advice", nil, map[string]string{"web2.yaml": strings.ReplaceAll(shopWeb, "web", "web2")}, "", []string{"--advice"}, exitFine, []string{"advice: web2.yaml:9: Deployment/shop/web2: container web2 has no memory limit [no-limits]", "  no-limits: without one"}, []string{"shop/web:"}},
		{"no tag as the branch", nil, nil, "", []string{"--base", "nothing"}, exitError, []string{`there is no commit "nothing" in this clone`}, nil},
		{"a folder that is new", nil, map[string]string{"blue/a.yaml": configMap("a", "")}, "", []string{"blue"}, exitFine, []string{"merging creates   1: ConfigMap/default/a"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := gitserver.NewWorkTree(t)
			p.Write(old)
			p.Commit("base", c.base)
			p.Git("switch", "-q", "-c", "branch")
			p.Write(c.now)
			if c.message != "" {
				p.Commit(c.message, nil)
			}
			dir, args := p.Dir, c.args
			if len(args) == 1 && !strings.HasPrefix(args[0], "-") {
				dir, args = filepath.Join(p.Dir, args[0]), nil
			}
			code, out, errOut := writ(t, append([]string{"check", dir, "--base", "main"}, args...)...)
			all := out + errOut
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(all, want) && !strings.Contains(strings.Join(strings.Fields(all), " "), want) {
					t.Errorf("%q is missing", want)
				}
			}
			for _, not := range c.without {
				if strings.Contains(all, not) {
					t.Errorf("%q is there", not)
				}
			}
			if t.Failed() {
				t.Logf("printed:\n%s", all)
			}
		})
	}
}

// A folder of a repository is checked with what it uses outside of itself; git's rules say what is part
// of a commit; warnings are told beside mistakes; what is not acted on yet is a note.
func TestCheck_Tree(t *testing.T) {
	p := gitserver.NewWorkTree(t)
	p.Commit("base", map[string]string{
		".gitignore":   "*.gen.yaml\n",
		"blue/a.yaml":  configMap("a", "status: {}\n"),
		"blue/b.yaml":  configMap("b", "dada: {}\n"),
		"red/c.yaml":   "nonsense",
		"shared/d.txt": configMap("d", ""),
	})
	p.Write(map[string]string{
		"blue/x.gen.yaml": "nonsense",
		"blue/e.yaml":     "apiVersion: v1\nkind: Pod\nmetadata: {name: e}\nspec:\n  containers: [{name: a, image: b}]\n  schedulerName: mine\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: e}\nspec: {podSelector: {}}\n",
	})
	if err := os.Symlink("../shared/d.txt", filepath.Join(p.Dir, "blue/d.yaml")); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := writ(t, "check", filepath.Join(p.Dir, "blue"))
	want := `blue/b.yaml:4: ConfigMap/default/b: unknown field "dada"
warning: blue/a.yaml:4: ConfigMap/default/a: status: is set by the cluster and was dropped
note: blue/e.yaml:6: Pod/default/e: spec.schedulerName: a scheduler of one's own is not supported yet; the object is accepted, but not started
note: blue/e.yaml:8: NetworkPolicy/default/e: NetworkPolicy is accepted, but not enforced yet
`
	if code != exitError || out != want || !strings.HasPrefix(errOut, "4 objects, 1 mistake, 1 warning: this commit would not be adopted\npaths are from ") {
		t.Errorf("exit code %d, got:\n%s%s\nwant:\n%s", code, out, errOut, want)
	}
	empty := t.TempDir()
	if code, out, _ := writ(t, "check", empty, "--strict"); code != exitError || out != "warning: there is no manifest here: nothing would run\n" {
		t.Errorf("an empty folder: exit code %d, %q", code, out)
	}
}

// Whoever checks has no keys and trusts nobody by himself: what is encrypted is noted, signers are read.
// A program that is missing is asked for only where there is something to render.
func TestCheck_WithoutKeysAndRenderer(t *testing.T) {
	p := gitserver.NewWorkTree(t)
	p.Write(map[string]string{
		"a.sops.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  a: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]\n" +
			"sops:\n  mac: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]\n  version: 3.9.0\n  lastmodified: \"2026-01-01T00:00:00Z\"\n  age:\n  - {recipient: age1x, enc: y}\n",
		"writ.yaml": "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  signers:\n  - {path: shop/, keys: [nonsense]}\n",
	})
	code, out, _ := writ(t, "check", p.Dir)
	if code != exitError || !strings.Contains(out, "writ.yaml:5: spec.signers[0]: ") || strings.Contains(out, "cannot be checked here") || strings.Count(out, "\n") != 2 ||
		!strings.Contains(out, "note: a.sops.yaml: is encrypted") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	p.Write(map[string]string{"writ.yaml": "", "shop/kustomization.yaml": "resources: [a.yaml]\n", "shop/a.yaml": configMap("a", "")})
	if code, _, errOut := writ(t, "check", p.Dir); code != exitError || !strings.Contains(errOut, "no program writ-render lies beside writ") {
		t.Errorf("without the program that renders: exit code %d, %s", code, errOut)
	}
}

// What a node is configured with is of no interest to a check, not even that it is wrong.
func TestCheck_IgnoresTheNodesConfiguration(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		_, is := cmd.Annotations[offline]
		if want := map[string]bool{"check": true, "init": true, "schema": true}[cmd.Name()]; is != want {
			t.Errorf("%s: offline %t, want %t", cmd.Name(), is, want)
		}
	}
}

func TestCheck_JSON(t *testing.T) {
	p := gitserver.NewWorkTree(t)
	p.Commit("base", map[string]string{"a.yaml": configMap("a", "")})
	p.Write(map[string]string{"a.yaml": configMap("a", "data: {password: s3cret}\n")})
	code, out, _ := writ(t, "check", p.Dir, "-o", "json", "--advice", "--base", "HEAD")
	var c checked
	if err := json.Unmarshal([]byte(out), &c); err != nil || code != exitFine || !c.OK || c.Mistakes == nil || c.Base == nil || c.Base.Merge == nil || len(c.Base.Merge.Change) != 1 {
		t.Errorf("exit code %d, %v:\n%s", code, err, out)
	}
	if len(c.Advice) != 1 || c.Advice[0].Rule != "plain-secret" || c.Advice[0].Source.Line != 4 || strings.Contains(out, "s3cret") {
		t.Errorf("advice: %+v", c.Advice)
	}
	if code, _, _ := writ(t, "check", p.Dir, "--advice", "--strict"); code != exitError {
		t.Errorf("--strict with advice: exit code %d", code)
	}
}

// Whatever a commit is named, nothing of it is a command to GitHub.
func TestAnnotate(t *testing.T) {
	var out bytes.Buffer
	annotate(&out, "error", "sub", "no-limits", manifest.Mistake{
		Source: manifest.Source{Path: "a,b:c%\n::stop-commands::x.yaml", Line: 3}, Ref: manifest.Ref{Kind: "Pod", Namespace: "a", Name: "b"},
		What: "100%\nsecond\r\n::set-output name=x::y",
	})
	want := "::error file=sub/a%2Cb%3Ac%25%0A%3A%3Astop-commands%3A%3Ax.yaml,line=3,title=Pod/a/b no-limits" +
		"::100%25%0A    second\uFFFD%0A    ::set-output name=x::y\n"
	if got := out.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	p := gitserver.NewWorkTree(t)
	p.Write(map[string]string{"deep/a.yaml": configMap("a", "dada: {}\n"), "b.yaml": configMap("b", "status: {}\n")})
	t.Setenv("GITHUB_WORKSPACE", filepath.Dir(p.Dir))
	code, text, _ := writ(t, "check", p.Dir, "-o", "github")
	name := filepath.Base(p.Dir)
	wantText := "::error file=" + name + "/deep/a.yaml,line=4,title=ConfigMap/default/a::unknown field \"dada\"\n::warning file=" + name + "/b.yaml,line=4,title=ConfigMap/default/b::status: is set by the cluster and was dropped\n"
	if code != exitError || text != wantText {
		t.Errorf("exit code %d, got:\n%s\nwant:\n%s", code, text, wantText)
	}
}

// The page of the rules has each of them.
func TestCheck_Documented(t *testing.T) {
	page, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `") && strings.Count(line, "|") == 3 && !strings.Contains(line, "path:line") && !strings.Contains(line, "...") {
			rows++
		}
	}
	rules := advice.Rules()
	for _, r := range rules {
		if !strings.Contains(string(page), "\n| `"+r.Name+"` | ") {
			t.Errorf("docs/check.md does not have the rule %s", r.Name)
		}
	}
	if rows != len(rules) {
		t.Errorf("docs/check.md has %d rules, there are %d", rows, len(rules))
	}
}
