package manifest

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// within fails the test when f takes minutes, as it did before the limit that is tested was there.
func within(t *testing.T, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %s", took)
	}
}

func TestReadFile_ManyMistakesEndSoon(t *testing.T) {
	var keys strings.Builder
	keys.WriteString(configMap("a") + "data:\n")
	for i := range 60_000 {
		fmt.Fprintf(&keys, "  \"%d!\": x\n", i)
	}
	within(t, func() {
		f := mustRead("a.yaml", "", []byte(keys.String()))
		if n := len(f.mistakes); n != maxMistakesOfFile+1 || f.mistakes[n-1].String() != "a.yaml: and 59800 mistakes more" {
			t.Errorf("%d mistakes, the last: %s", n, f.mistakes[n-1])
		}
		if line := f.mistakes[0].Source.Line; line < 5 {
			t.Errorf("the first is at line %d", line)
		}
	})
	var values strings.Builder // each of which is hidden in what is said of the others
	values.WriteString("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n")
	for i := range 60_000 {
		fmt.Fprintf(&values, "  k%d: x%d!\n", i, i)
	}
	within(t, func() {
		f := mustRead("a.yaml", "", []byte(values.String()))
		if n := len(f.mistakes); n != maxMistakesOfFile+1 || f.mistakes[n-1].String() != "a.yaml: and 59800 mistakes more" {
			t.Errorf("%d mistakes of the Secret, the last: %s", n, f.mistakes[n-1])
		}
	})
	var docs strings.Builder
	for i := range 1000 {
		docs.WriteString("---\n" + configMap(fmt.Sprint("c", i)) + "status: {}\n")
	}
	if f := mustRead("a.yaml", "", []byte(docs.String())); len(f.warnings) != maxMistakesOfFile+1 || len(f.mistakes) != 0 {
		t.Errorf("%d warnings, %d mistakes", len(f.warnings), len(f.mistakes))
	}
}

func TestReadFile_Bounds(t *testing.T) {
	nested := func(n int) string {
		return strings.Repeat("{apiVersion: v1, kind: List, items: [", n) + "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}" + strings.Repeat("]}", n)
	}
	wide := "x: &x \"" + strings.Repeat("x", 1000) + "\"\ny: [" + strings.Repeat("*x, ", 2000) + "]\n"
	for _, test := range []struct{ name, text, want string }{
		{"a few lists", nested(maxLists), ""},
		{"too many lists", nested(maxLists + 1), "a.yaml:1: List: lies in 4 lists, at most 4 may be inside each other"},
		{"a large document", configMap("b") + "---\n" + configMap("a") + "x: [" + strings.Repeat("x,", 1_100_000) + "]", "a.yaml:5: the document is larger than 2 MiB; split it"},
		{"documents that grow by their aliases", strings.Repeat("---\n"+wide, 100), "a.yaml:28: the file's objects are larger than 16 MiB"},
		{"a long repeated key", configMap("a") + "data:\n  ? " + strings.Repeat("k", 10_000) + "\n  : x\n  ? " + strings.Repeat("k", 10_000) + "\n  : x\n", "a.yaml:7: ConfigMap/default/a: data[kkk"},
		{"a kind that is no word", "apiVersion: example.com/v1\nkind: \"a\\e[2Jb\"\nmetadata: {name: x}", "a.yaml:2: a\uFFFD[2Jb/x: kind: \"a\\x1b[2Jb\": a DNS-1035 label must consist of"},
		{"a group that is no domain", "apiVersion: \"../x/v1\"\nkind: A\nmetadata: {name: x}", "a.yaml:1: A/x: apiVersion: \"../x/v1\" is not of the form group/version"},
		{"a group with a space", "apiVersion: \"a b.c/v1\"\nkind: A\nmetadata: {name: x}", "a.yaml:1: A/x: apiVersion: \"a b.c\": a lowercase RFC 1123 subdomain must consist of"},
		{"a name with a separator", "apiVersion: example.com/v1\nkind: A\nmetadata: {name: ../x}", "a.yaml:3: A/../x: metadata.name: Invalid value: \"../x\": may not contain '/'"},
		{"a list for other tools", "apiVersion: v1\nkind: List\nmetadata: {annotations: {config.kubernetes.io/local-config: \"true\"}}\nitems: [5]", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			within(t, func() {
				got := mustRead("a.yaml", "", []byte(test.text)).mistakes.Error()
				for line := range strings.SplitSeq(got, "\n") {
					if len(line) > maxMistakeBytes+100 {
						t.Errorf("a line of %d bytes", len(line))
					}
				}
				if !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
					t.Errorf("got:\n%.2000s\nwant:\n%s", got, test.want)
				}
			})
		})
	}
}

func TestMistake_ShowsNoControlCharacters(t *testing.T) {
	m := Mistake{Source{"a\n::error::\u202e.yaml", 3}, Ref{Kind: "K", Name: "\x1b[2J"}, "x\ty\x07\nz"}
	if got, want := m.String(), "a\uFFFD::error::\uFFFD.yaml:3: K/\uFFFD[2J: x y\uFFFD\n    z"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// bomb is a tree in which every folder holds ten folders, for ever: a few objects of Git's make one.
type bomb struct{ fs.FS }

func (b bomb) Lstat(name string) (fs.FileInfo, error) { return b.Stat(name) }
func (bomb) ReadLink(string) (string, error)          { return "", fs.ErrInvalid }
func (bomb) Stat(name string) (fs.FileInfo, error) {
	if strings.HasSuffix(name, ".yaml") {
		return nil, fs.ErrNotExist
	}
	return identified{name: "x", mode: fs.ModeDir}, nil
}
func (bomb) ReadDir(name string) ([]fs.DirEntry, error) {
	if strings.Count(name, "/") > 10 {
		return nil, nil
	}
	var all []fs.DirEntry
	for i := range 10 {
		all = append(all, fs.FileInfoToDirEntry(identified{name: fmt.Sprint(i), mode: fs.ModeDir}))
	}
	return all, nil
}

func (b bomb) ReadFile(name string) ([]byte, error) { return nil, fs.ErrNotExist }

func TestLoad_FoldersWithoutEnd(t *testing.T) {
	within(t, func() {
		_, err := Load(bomb{}, nil)
		if err == nil || !strings.Contains(err.Error(), "the tree has more than 200000 folders") {
			t.Errorf("got %v", err)
		}
	})
}

// A million documents, and the files to hold them, end with a clear word long before they are read.
func TestLoad_DocumentsWithoutEnd(t *testing.T) {
	same := []byte(strings.Repeat("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n", maxDocuments))
	files := fstest.MapFS{}
	for i := range 100 {
		files[fmt.Sprintf("%03d.yaml", i)] = &fstest.MapFile{Data: same}
	}
	before := make(map[string]*file)
	one := &folder{name: ".", id: "x"}
	for name := range files {
		f := &file{path: name, id: name, objects: make([]*parsed, maxDocuments)}
		before[name], one.files = f, append(one.files, f)
	}
	l := newLoader(Loader{}, identities{files}, &Set{root: one})
	within(t, func() {
		_, err := l.load()
		if err == nil || err.Error() != "020.yaml: the tree has more than 200000 objects" {
			t.Errorf("got %v", err)
		}
	})
}

// identities is a tree whose files are told apart by their names alone, so that all are taken over.
type identities struct{ fstest.MapFS }

func (fsys identities) ReadDir(name string) ([]fs.DirEntry, error) {
	var all []fs.DirEntry
	for name := range fsys.MapFS {
		all = append(all, fs.FileInfoToDirEntry(identified{name: name, id: name}))
	}
	return all, nil
}

func TestLoad_HundredThousandFiles(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 100_000 {
		files[fmt.Sprintf("%02d/%02d/%02d.txt", i/10_000, i/100%100, i%100)] = &fstest.MapFile{Data: []byte("x")}
	}
	files["05/a.yaml"] = &fstest.MapFile{Data: []byte(configMap("a"))}
	within(t, func() {
		if set, err := Load(files, nil); err != nil || set.Len() != 1 {
			t.Errorf("got %v, %v", set, err)
		}
	})
}

func TestLoad_IgnoreRulesAreBounded(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"large", strings.Repeat("# comment\n", 7000), ".writignore: is larger than 64 KiB"},
		{"many rules", strings.Repeat("a\n", 1001), ".writignore: 1001 rules hold here with those of the folders above, at most 1000 are allowed"},
	} {
		if got := mistakesOf(t, fstest.MapFS{".writignore": {Data: []byte(test.text)}}); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	link := fstest.MapFS{".writignore": {Data: []byte("x"), Mode: fs.ModeSymlink}}
	if got, want := mistakesOf(t, link), ".writignore: "+deadLink; got != want {
		t.Errorf("a link: got %s, want %s", got, want)
	}
}

func TestLoad_ReadsNoFurtherAfterManyMistakes(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 100 {
		files[fmt.Sprintf("%03d.yaml", i)] = &fstest.MapFile{Data: []byte(strings.Repeat("---\na: b\n", 200))}
	}
	_, err := Load(files, nil)
	ms, ok := err.(Mistakes)
	if !ok || len(ms) != maxMistakes+1 || !strings.Contains(ms.Error(), "049.yaml: more than 10000 mistakes; what follows was not read") {
		t.Errorf("%d mistakes, want %d and the one that says so", len(ms), maxMistakes)
	}
}

func TestLoad_BrokenDuplicates(t *testing.T) {
	broken := strings.Replace(web, "replicas", "x", 1) + "      nonsense: 1\n"
	got := mistakesOf(t, tree(t, "-- a.yaml --\n"+shop+"-- b.yaml --\n"+web+"-- c.yaml --\n"+broken+"-- d.yaml --\n"+broken))
	want := `c.yaml:1: Deployment/shop/web: is declared twice, first in b.yaml:1
c.yaml:16: Deployment/shop/web: unknown field "spec.template.spec.nonsense"
d.yaml:1: Deployment/shop/web: is declared twice, first in b.yaml:1
d.yaml:16: Deployment/shop/web: unknown field "spec.template.spec.nonsense"`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	got = mistakesOf(t, tree(t, "-- a.yaml --\n"+configMap("a")+"---\n"+configMap("a")+"---\n"+configMap("a")))
	if want := "a.yaml:5: ConfigMap/default/a: is declared twice, first in a.yaml:1\na.yaml:9: ConfigMap/default/a: is declared twice, first in a.yaml:1"; got != want {
		t.Errorf("three times: got:\n%s\nwant:\n%s", got, want)
	}
}

func TestReadSettings_ByteOrderMark(t *testing.T) {
	settings, mistakes := readSettings("writ.yaml", []byte("\xef\xbb\xbfapiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {clusterDomain: a.b}\n"))
	if len(mistakes) > 0 || settings.Spec.ClusterDomain != "a.b" {
		t.Errorf("%+v, mistakes %v", settings, mistakes)
	}
}

func TestReadSettings_ManyMistakesEndSoon(t *testing.T) {
	var text strings.Builder
	text.WriteString("apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  podCIDR: 5\n")
	for i := range 150_000 {
		fmt.Fprintf(&text, "  k%d: x\n", i)
	}
	within(t, func() {
		_, mistakes := readSettings("writ.yaml", []byte(text.String()))
		if n := len(mistakes); n != maxMistakesOfFile+1 || mistakes[n-1].String() != "writ.yaml: and 149801 mistakes more" {
			t.Errorf("%d mistakes, the last: %s", n, mistakes[n-1])
		}
	})
	if _, mistakes := readSettings("writ.yaml", []byte("a: "+strings.Repeat("x", maxDocumentBytes))); mistakes.Error() != "writ.yaml:1: the document is larger than 2 MiB; split it" {
		t.Errorf("a large one: %v", mistakes)
	}
}

// mustRead reads a file in which nothing is encrypted.
func mustRead(name, id string, data []byte) *file {
	f, err := readFile(nil, name, id, data)
	if err != nil {
		panic(err)
	}
	return f
}

// Every value of a wrong type is told, in the words that manifests get.
func TestReadSettings_WrongTypes(t *testing.T) {
	for text, want := range map[string]string{
		"spec: [1]": "writ.yaml:3: spec: must be a mapping, found a list",
		"spec:\n  podCIDR: 10\n  guards: {maxDeletes: {objects: five}}\n  charts: {a: b}\n": "writ.yaml:4: spec.podCIDR: must be a string, found number 10 (put it in quotes)\n" +
			"writ.yaml:5: spec.guards.maxDeletes.objects: must be a whole number, found string \"five\"\nwrit.yaml:6: spec.charts: must be a list, found a mapping",
		"spec: {suspend: {reason: a, until: 2027-01-31}, nodePort: 5, nodePorts: 5}": "writ.yaml:3: spec.nodePorts: must be a string, found number 5 (put it in quotes)\nwrit.yaml:3: unknown field \"spec.nodePort\"",
	} {
		_, mistakes := readSettings("writ.yaml", []byte("apiVersion: writ.dev/v1alpha1\nkind: Cluster\n"+text))
		mistakes.Sort()
		if got := mistakes.Error(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
		}
	}
}
