package writ

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The law of the house: which packages of this module a package may import. A folder's row holds for
// everything below it until a longer row is given. A new package is a new row, with its reason.
var mayImport = map[string][]string{
	"disk":             {}, // files that are whole, for whoever keeps small ones
	"manifest":         {},
	"manifest/advice":  {"manifest"}, // an opinion about a commit, which nothing else depends on
	"manifest/schema":  {"manifest"}, // what editors know of writ.yaml
	"sync":             {"sync"},     // who signed a commit is told by a part of it
	"state":            {"manifest"},
	"state/store":      {"manifest", "state", "disk"},
	"state/event":      {"manifest", "state"},
	"state/history":    {"manifest", "state", "disk"}, // what is told to people and survives a restart
	"schedule":         {"manifest", "state"},
	"pki":              {"disk"},                                 // keys that others trust the cluster by: tokens of this node, later its API
	"sockets":          {},                                       // both sides of what keeps listening sockets: the daemon's and writ-shim's
	"runtime":          {"manifest", "state", "runtime", "disk"}, // what a restarted daemon has to know: a pod's resources, and that it was evicted
	"runtime/image":    {"disk"},
	"runtime/devices":  {"disk"},         // plugins of devices, which know neither pods nor containers
	"runtime/pressure": {},               // what a node does when it gets short of something, from numbers alone
	"runtime/shim":     {"runtime/shim"}, // the supervisor below it stands on the protocol
	// The daemon's side of rendering; what runs in the child knows nothing of manifest, so that its
	// binary and the daemon's share the words between them only.
	"render":           {"manifest", "render/wire", "render/process"},
	"render/process":   {"render/wire"},
	"render/decrypt":   {"manifest", "render/wire", "render/process"},
	"render/sops":      {"render/wire", "render/sandbox", "sync/signature"}, // the decrypting process: patterns of paths are those of signers
	"render/wire":      {},
	"render/sandbox":   {},
	"render/kustomize": {"render/wire", "render/tree"},
	"render/child":     {"render/wire", "render/sandbox", "render/kustomize", "render/helm"},
	"render/helm":      {"render/wire", "render/tree"},
	"render/tree":      {},
	"render/fetch":     {"manifest", "render", "sync/bounds", "disk"}, // what a Git server sends is bounded as that of the followed repository
	"network":          {"manifest", "state", "disk", "network"},
	"dns":              {"manifest", "state", "dns"},
	"reconcile":        {"manifest", "state", "schedule", "reconcile"},
	// The loop also keeps events that are told to people, and nothing else of the impure floors.
	"reconcile/loop": {"manifest", "state", "reconcile"},
	"api":            {"manifest", "state", "reconcile", "api"}, // keys come in as arguments
	"web":            {"manifest", "state", "reconcile"},
	// The container's re-exec hook must be initialised before everything else.
	"cmd":      nil, // everything
	"fixtures": nil, // everything: tests only
}

// pure packages hold no context, clock, goroutine, lock, log, file, socket or randomness.
var pure = []string{"manifest", "manifest/advice", "manifest/schema", "state", "schedule", "reconcile", "reconcile/admit", "reconcile/autoscaler", "reconcile/sim", "runtime/pressure"}

// impure lists the standard packages whose import makes a package impure.
var impure = []string{
	"context", "log", "log/slog", "net/http", "os", "os/exec", "os/signal", "math/rand", "math/rand/v2",
	"crypto/rand", "sync", "sync/atomic", "syscall", "io/ioutil", "testing/synctest",
}

// impureCalls are functions of otherwise harmless packages.
var impureCalls = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"net":  {"Dial", "DialTimeout", "Listen", "ListenPacket", "ListenUDP", "ListenTCP", "LookupHost", "LookupIP", "Interfaces", "InterfaceAddrs"},
	"uuid": {"New", "NewString", "NewRandom", "NewUUID"},
}

type source struct {
	dir, name string // dir is slash-separated below the module
	file      *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != "." || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{dir: path.Dir(filepath.ToSlash(p)), name: filepath.ToSlash(p), file: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d source files: the test does not see the house", len(all))
	}
	return all
}

// row is the longest row of the table that a folder stands under.
func row(dir string) (string, bool) {
	for d := dir; d != "."; d = path.Dir(d) {
		if _, ok := mayImport[d]; ok {
			return d, true
		}
	}
	return "", false
}

func TestArchitecture_Imports(t *testing.T) {
	for _, s := range sources(t) {
		if s.dir == "." {
			continue
		}
		name, ok := row(s.dir)
		if !ok {
			t.Errorf("%s: package %s has no row in the import table", s.name, s.dir)
			continue
		}
		for _, target := range imports(s.file) {
			checkImport(t, s, name, target)
		}
	}
}

func checkImport(t *testing.T, s source, name, target string) {
	own, ok := strings.CutPrefix(target, "writ/")
	if !ok {
		if name == "runtime/shim" && strings.HasPrefix(target, "k8s.io/") {
			t.Errorf("%s imports %s: the shim stays small", s.name, target)
		}
		return
	}
	allowed := mayImport[name]
	if allowed == nil || own == s.dir {
		return
	}
	for _, a := range allowed {
		// Naming a folder allows what stands below it only to its own sub-packages and to those below it.
		if own == a || strings.HasPrefix(own, a+"/") && strings.HasPrefix(name, a) {
			return
		}
	}
	t.Errorf("%s imports %s: %s may import %v", s.name, target, name, allowed)
}

// The libraries of the children and what they do with them stay out of the daemon's binary.
func TestArchitecture_Children(t *testing.T) {
	heavy := []string{"github.com/getsops/", "filippo.io/age", "sigs.k8s.io/kustomize/", "helm.sh/helm/", "writ/render/sops", "writ/render/kustomize", "writ/render/helm", "writ/render/child"}
	children := []string{"render/sops", "render/kustomize", "render/helm", "render/child", "cmd/writ-render", "fixtures/secrets"}
	for _, s := range sources(t) {
		if slices.Contains(children, s.dir) {
			continue
		}
		for _, target := range imports(s.file) {
			if slices.ContainsFunc(heavy, func(h string) bool { return strings.HasPrefix(target, h) }) {
				t.Errorf("%s imports %s: it belongs to writ-render", s.name, target)
			}
		}
	}
}

// sync and runtime keep folder name = package name, which hides standard packages: only cmd imports
// them, under other names.
func TestArchitecture_RenamedImports(t *testing.T) {
	want := map[string]string{"writ/sync": "gitsync", "writ/runtime": "noderuntime"}
	for _, s := range sources(t) {
		for _, spec := range s.file.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			name, ok := want[target]
			if !ok {
				continue
			}
			if spec.Name == nil || spec.Name.Name != name {
				t.Errorf("%s imports %s, which must be named %s", s.name, target, name)
			}
			if !strings.HasPrefix(s.dir, "cmd/") && !strings.HasPrefix(s.dir, "fixtures/") {
				t.Errorf("%s imports %s: only cmd does", s.name, target)
			}
		}
	}
}

func TestArchitecture_Purity(t *testing.T) {
	for _, s := range sources(t) {
		if !slices.Contains(pure, s.dir) {
			continue
		}
		for _, target := range imports(s.file) {
			if slices.Contains(impure, target) {
				t.Errorf("%s imports %s: %s is pure", s.name, target, s.dir)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if what := impurity(n); what != "" {
				t.Errorf("%s: %s: %s is pure", s.name, what, s.dir)
			}
			return true
		})
	}
}

func impurity(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "starts a goroutine"
	case *ast.SelectStmt:
		return "selects on channels"
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil && slices.Contains(impureCalls[x.Name], n.Sel.Name) {
			return fmt.Sprintf("uses %s.%s", x.Name, n.Sel.Name)
		}
	}
	return ""
}

// Every package says once what it is for.
func TestArchitecture_PackageComments(t *testing.T) {
	comments := map[string]int{}
	for _, s := range sources(t) {
		comments[s.dir] += 0
		if s.file.Doc != nil && (strings.HasPrefix(s.file.Doc.Text(), "Package ") || strings.HasPrefix(s.file.Doc.Text(), "Command ")) {
			comments[s.dir]++
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("package in %s has %d package comments, want 1", dir, n)
		}
	}
}

func TestArchitecture_FileLength(t *testing.T) {
	for _, s := range sources(t) {
		data, err := os.ReadFile(s.name)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(data), "\n"); lines > 500 {
			t.Errorf("%s has %d lines: split it at 500", s.name, lines)
		}
	}
}

func imports(f *ast.File) []string {
	var targets []string
	for _, spec := range f.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			targets = append(targets, target)
		}
	}
	return targets
}
