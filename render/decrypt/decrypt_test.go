package decrypt

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/getsops/sops/v3/hcvault"
	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/secrets"
	"writ/manifest"
	"writ/render"
	"writ/render/child"
	"writ/render/sops"
)

// The test binary is each of the children too, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "render":
			os.Exit(child.Main(os.Args[1:]))
		case "decrypt":
			os.Exit(sops.Main(os.Args[1:]))
		}
	}
	os.Exit(m.Run())
}

const (
	secret = "correct-horse-battery"
	short  = "7x"
)

// rig is a node with keys.
type rig struct {
	t    *testing.T
	d    *Decrypter
	file string
	log  bytes.Buffer
	self string
}

func newRig(t *testing.T, keys string) *rig {
	t.Helper()
	r := &rig{t: t, file: filepath.Join(t.TempDir(), "keys.yaml")}
	r.write(keys)
	var err error
	if r.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	if r.d, err = New(Config{Program: r.self, Keys: r.file, Log: slog.New(slog.NewTextHandler(&r.log, nil))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.d.Close)
	return r
}

func (r *rig) write(keys string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte("keys:\n"+keys), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) load(tree fstest.MapFS, d manifest.Decrypter, prev *manifest.Set) (*manifest.Set, error) {
	renderer := render.New(r.t.Context(), render.Config{Program: r.self, Decrypter: d})
	return manifest.Loader{Renderer: renderer, Decrypter: d}.Load(tree, prev)
}

// refused loads a tree that has mistakes and returns them. Neither they nor the log tell a value.
func (r *rig) refused(tree fstest.MapFS) string {
	r.t.Helper()
	_, err := r.load(tree, r.d, nil)
	var mistakes manifest.Mistakes
	if !errors.As(err, &mistakes) {
		r.t.Fatalf("got %v, want mistakes", err)
	}
	r.silent(err.Error())
	return err.Error()
}

func (r *rig) silent(texts ...string) {
	r.t.Helper()
	for _, text := range append(texts, r.log.String()) {
		for _, value := range []string{secret, "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", strconv.Quote(short)} {
			if strings.Contains(text, value) {
				r.t.Errorf("a value is told: %s", text)
			}
		}
	}
}

func tree(files map[string]string) fstest.MapFS {
	made := fstest.MapFS{}
	for name, text := range files {
		made[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return made
}

func yaml(t *testing.T, text, regex string, key secrets.Locker) string {
	return string(secrets.Encrypt(t, secrets.File{Format: "yaml", Text: text, Regex: regex, Keys: []secrets.Locker{key}}))
}

const (
	onlyData  = "^(data|stringData)$"
	namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
	db        = "apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\n    namespace: shop\nstringData:\n    password: " + secret + "\n"
)

func (r *rig) secretOf(set *manifest.Set, name string) map[string]string {
	r.t.Helper()
	values := map[string]string{}
	for item := range set.All() {
		if s, ok := item.Object.(*corev1.Secret); ok && strings.HasPrefix(s.Name, name) {
			for k, v := range s.Data {
				values[k] = string(v)
			}
		}
	}
	if len(values) == 0 {
		r.t.Fatalf("no Secret %s", name)
	}
	return values
}

func TestLoad_Encrypted(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n")
	files := tree(map[string]string{
		"ns.yaml":        namespace,
		"shop/db.yaml":   yaml(t, db+"---\n"+strings.Replace(db, "name: db", "name: cache", 1), onlyData, key),
		"shop/mix.yaml":  namespace[:0] + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n---\n" + yaml(t, strings.Replace(db, "name: db", "name: own", 1), onlyData, key),
		"shop/json.json": string(secrets.Encrypt(t, secrets.File{Format: "json", Text: `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "json", "namespace": "shop"}, "stringData": {"password": "` + secret + `"}}`, Regex: onlyData, Keys: []secrets.Locker{key}})),
	})
	set, err := r.load(files, r.d, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"db", "cache", "own", "json"} {
		if got := r.secretOf(set, name)["password"]; got != secret {
			t.Errorf("%s: password %q", name, got)
		}
	}
	item, _ := set.Get(manifest.SecretRef("shop", "cache"))
	second := 1 + strings.Count(strings.Split(string(files["shop/db.yaml"].Data), "\n---\n")[0], "\n") + 1
	if item.Source != (manifest.Source{Path: "shop/db.yaml", Line: second + 1}) {
		t.Errorf("cache is at %v, want line %d", item.Source, second+1)
	}
	again, err := r.load(files, r.d, set)
	if err != nil {
		t.Fatal(err)
	}
	if same, _ := again.Get(item.Ref); same.Object != item.Object {
		t.Error("an unchanged file was decrypted again")
	}
	r.write("# another key now\n- age: " + secrets.NewAge(t).Identity + "\n")
	if _, err := r.load(files, r.d, set); err == nil || !strings.Contains(err.Error(), "shop/db.yaml:") || !strings.Contains(err.Error(), "needs the age key "+key.Recipient) {
		t.Errorf("with other keys: %v", err)
	}
}

// What is wrong with a decrypted object is told with the line of the encrypted text and without values.
func TestLoad_MistakesTellNoValue(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n")
	for name, test := range map[string]struct{ text, regex, want string }{
		"invalid value":      {"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n    clusterIP: " + secret + "\n    ports: [{port: 80}]\n", "^clusterIP$", "Service/default/web: spec.clusterIPs[0]: Invalid value: must be a valid IP address"},
		"wrong type":         {"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n    ports:\n    - port: " + secret + "\n", "^port$", "a.yaml:LINE: Service/default/web: spec.ports[0].port: must be a whole number"},
		"unknown value":      {"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n    type: " + secret + "\n    ports: [{port: 80}]\n", "^type$", "a.yaml:LINE: Service/default/web: spec.type: Unsupported value: supported values"},
		"short value":        {"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n    type: " + short + "\n    ports: [{port: 80}]\n", "^type$", "a.yaml:LINE: Service/default/web: spec.type: Unsupported value: supported values"},
		"quantity":           {"apiVersion: v1\nkind: LimitRange\nmetadata: {name: a}\nspec:\n    limits:\n    - type: Pod\n      max: {cpu: " + secret + "}\n", "^cpu$", "a.yaml:LINE: LimitRange/default/a"},
		"data is no base64":  {strings.Replace(db, "stringData", "data", 1), onlyData, "a.yaml:LINE: Secret/shop/db: data[password]: cannot be read as base64"},
		"registry":           {"apiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata: {name: pull, namespace: shop}\nstringData:\n    .dockerconfigjson: " + secret + "\n", onlyData, "a.yaml:LINE: Secret/shop/pull: data[.dockerconfigjson]: Invalid value: is not what the type"},
		"whole document":     {strings.Replace(db, "name: db", "name: Not_A_Name", 1), "", "Secret/shop/Not_A_Name: metadata.name: Invalid value"},
		"unknown kind":       {"apiVersion: " + secret + "/v1\nkind: X\n", "", "a.yaml:"},
		"list where mapping": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: [" + secret + "]\n", "^data$", "ConfigMap/default/a: data: must be a mapping"},
		"number in a label":  {"apiVersion: v1\nkind: ConfigMap\nmetadata:\n    name: a\n    labels: {a: " + secret + " }\n", "^labels$", ""},
		"immutable selector": {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n    containers:\n    - name: a\n      image: a\n      env: [{name: '" + secret + "=', value: a}]\n      restartPolicy: " + secret + "\n", "^(env|restartPolicy)$", "a.yaml:LINE: Pod/default/a"},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			encrypted := yaml(t, test.text, test.regex, key)
			if strings.Contains(encrypted, secret) {
				t.Fatal("not encrypted")
			}
			files := tree(map[string]string{"ns.yaml": namespace, "a.yaml": encrypted})
			if test.want == "" {
				_, err := r.load(files, r.d, nil)
				r.silent(fmt.Sprint(err))
				return
			}
			want := strings.ReplaceAll(test.want, "LINE", fmt.Sprint(cipherLine(encrypted)))
			if got := r.refused(files); !strings.Contains(got, want) {
				t.Errorf("got:\n%s\nwant: %s", got, want)
			}
		})
	}
}

// cipherLine is the first line, from 1, with something encrypted.
func cipherLine(text string) int {
	before, _, _ := strings.Cut(text, "ENC[")
	return 1 + strings.Count(before, "\n")
}

func TestLoad_Bindings(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n  paths: [shop/]\n  namespaces: [shop]\n")
	bank := "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: bank}\n"
	inBank := yaml(t, strings.Replace(db, "namespace: shop", "namespace: bank", 1), onlyData, key)
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"another folder":    {map[string]string{"bank/db.yaml": yaml(t, db, onlyData, key)}, "bank/db.yaml:8: cannot be decrypted: age key " + key.Recipient + " is bound to shop/"},
		"another namespace": {map[string]string{"shop/db.yaml": inBank}, "shop/db.yaml:5: Secret/bank/db: metadata.namespace: is in namespace bank, and was decrypted with age key " + key.Recipient + ", which the node's keys bind to namespace shop"},
		"no namespace":      {map[string]string{"shop/a.yaml": yaml(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: new, annotations: {a: b}}\n", "^annotations$", key)}, "Namespace/new: metadata.namespace: is in no namespace, and was decrypted with"},
		"moved by kustomize": {map[string]string{"shop/db.yaml": yaml(t, db, onlyData, key), "shop/kustomization.yaml": "namespace: bank\nresources: [db.yaml]\n"},
			"Secret/bank/db: metadata.namespace: is in namespace bank, and was decrypted with"},
		"beside it in the unit": {map[string]string{"shop/db.yaml": yaml(t, db, onlyData, key), "shop/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: bank}\n", "shop/kustomization.yaml": "resources: [db.yaml, cm.yaml]\n"},
			"ConfigMap/bank/a: metadata.namespace: is in namespace bank"},
		"read by another folder": {map[string]string{"shop/db.yaml": yaml(t, db, onlyData, key), "bank/kustomization.yaml": "resources: [../shop/db.yaml]\n"},
			"shop/db.yaml:8: cannot be decrypted: age key " + key.Recipient + " is bound to shop/, and bank/kustomization.yaml reads it"},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			test.files["ns.yaml"] = namespace + bank
			if got := r.refused(tree(test.files)); !strings.Contains(got, test.want) {
				t.Errorf("got:\n%s\nwant: %s", got, test.want)
			}
		})
	}
}

// kustomized is a kustomization that reads encrypted files of every kind.
func kustomized(t *testing.T, key secrets.Locker) fstest.MapFS {
	encrypt := func(format, text string) string {
		return string(secrets.Encrypt(t, secrets.File{Format: format, Text: text, Keys: []secrets.Locker{key}}))
	}
	return tree(map[string]string{
		"ns.yaml": namespace,
		"shop/kustomization.yaml": `namespace: shop
resources: [db.yaml, web.yaml]
secretGenerator:
- name: env
  envs: [db.env]
- name: files
  files: [token.txt, settings.ini]
patches:
- path: patch.yaml
`,
		"shop/db.yaml":      "# a comment\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n---\n" + yaml(t, db, onlyData, key),
		"shop/db.env":       encrypt("dotenv", "PASSWORD="+secret+"\nUSER=ada\n"),
		"shop/token.txt":    encrypt("binary", secret),
		"shop/settings.ini": encrypt("ini", "[db]\npassword = "+secret+"\n"),
		"shop/patch.yaml":   yaml(t, "apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\n    namespace: shop\nstringData:\n    more: "+secret+"-2\n", onlyData, key),
		"shop/web.yaml":     "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: web\n    image: example.com/web:1\n    envFrom: [{secretRef: {name: env}}]\n",
	})
}

func TestLoad_Kustomization(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n  paths: [shop/]\n  namespaces: [shop]\n")
	files := kustomized(t, key)
	set, err := r.load(files, r.d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.secretOf(set, "env-"); got["PASSWORD"] != secret || got["USER"] != "ada" || len(got) != 2 {
		t.Errorf("env: %v", got)
	}
	if got := r.secretOf(set, "files-"); got["token.txt"] != secret || !strings.Contains(got["settings.ini"], secret) {
		t.Errorf("files: %v", got)
	}
	if got := r.secretOf(set, "db"); got["password"] != secret || got["more"] != secret+"-2" {
		t.Errorf("db: %v", got)
	}
	item, _ := set.Get(manifest.SecretRef("shop", "db"))
	if want := (manifest.Source{Path: "shop/db.yaml", Line: 7}); item.Source != want {
		t.Errorf("db comes from %v, want %v", item.Source, want)
	}
	again, err := r.load(files, r.d, set)
	if err != nil {
		t.Fatal(err)
	}
	if same, _ := again.Get(item.Ref); same.Object != item.Object {
		t.Error("an unchanged kustomization was built again")
	}
	files["shop/web.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(string(files["shop/web.yaml"].Data), "image: ", "imagePullPolicy: Sometimes\n    image: ", 1))}
	r.refused(files)
	files["shop/db.env"] = &fstest.MapFile{Data: bytes.Replace(files["shop/db.env"].Data, []byte("USER="), []byte("NAME="), 1)}
	if got := r.refused(files); !strings.Contains(got, "shop/db.env:") || !strings.Contains(got, "was changed or moved") {
		t.Errorf("a changed dotenv: %s", got)
	}
}

// Without keys a check reads what is not encrypted, and says nothing about the rest.
func TestLoad_Sealed(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n")
	files := kustomized(t, key)
	files["whole.yaml"] = &fstest.MapFile{Data: []byte(yaml(t, db, "", key))}
	files["pull.yaml"] = &fstest.MapFile{Data: []byte(yaml(t, "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata: {name: pull, namespace: shop}\nstringData:\n    .dockerconfigjson: "+secret+"\n", onlyData, key))}
	files["port.yaml"] = &fstest.MapFile{Data: []byte(yaml(t, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n    ports:\n    - port: 80\n", "^port$", key))}
	set, err := r.load(files, manifest.Sealed{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.secretOf(set, "env-"); len(got) != 2 || got["PASSWORD"] == "" {
		t.Errorf("env: %v", got)
	}
	if got := r.secretOf(set, "pull"); got[".dockerconfigjson"] == "" {
		t.Errorf("pull: %v", got)
	}
	files["bad.yaml"] = &fstest.MapFile{Data: []byte(yaml(t, strings.Replace(db, "name: db\n", "name: DB\n    labels: {a: 'b c'}\n", 1), onlyData, key))}
	_, err = r.load(files, manifest.Sealed{}, nil)
	if err == nil || !strings.Contains(err.Error(), "bad.yaml:4: Secret/shop/DB: metadata.name") || !strings.Contains(err.Error(), "bad.yaml:5: Secret/shop/DB: metadata.labels") {
		t.Errorf("what is not encrypted is not checked: %v", err)
	}
}

func TestLoad_NoKeys(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n")
	_, err := r.load(tree(map[string]string{"ns.yaml": namespace, "db.yaml": yaml(t, db, onlyData, key)}), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "db.yaml:8: Secret/shop/db: sops: is encrypted with SOPS, and this node has no keys (--decryption-keys)") {
		t.Errorf("got %v", err)
	}
}

// A process that is killed, or idle, or has old keys, is replaced; one that cannot be replaced says
// nothing about the commit.
func TestDecrypter_Process(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n")
	e := manifest.Encrypted{Path: "a.yaml", Format: "yaml", Data: []byte(yaml(t, db, onlyData, key))}
	open := func() error {
		clear, err := r.d.Decrypt(e)
		if err == nil && (string(clear.Text) != db || len(clear.Secrecy.Values) != 1) {
			t.Errorf("clear text %q, values %q", clear.Text, clear.Secrecy.Values)
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	r.confined(t)
	r.d.child.Kill()
	if err := open(); err == nil || errors.Is(err, manifest.ErrUnavailable) {
		t.Errorf("killed: %v", err)
	}
	if err := open(); err != nil {
		t.Errorf("after the kill: %v", err)
	}
	before := r.d.KeysID()
	r.write("- age: " + secrets.NewAge(t).Identity + "\n")
	if r.d.KeysID() == before {
		t.Error("other keys have the same identity")
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "needs the age key") {
		t.Errorf("with other keys: %v", err)
	}
	if err := os.Chmod(r.file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, manifest.ErrUnavailable) || !strings.Contains(err.Error(), "has mode 0644") {
		t.Errorf("with keys that everybody can read: %v", err)
	}
	_, err := r.load(tree(map[string]string{"ns.yaml": namespace, "db.yaml": string(e.Data)}), r.d, nil)
	if mistakes := (manifest.Mistakes{}); err == nil || errors.As(err, &mistakes) {
		t.Errorf("keys that are away are told as a mistake of the commit: %v", err)
	}
	r.silent()
}

// With a key service in the file of keys the process may reach it, and only then.
func TestDecrypter_KeyService(t *testing.T) {
	url, asked := secrets.KeyService(t, http.StatusOK)
	key := hcvault.NewMasterKey(url, "transit", "shop")
	e := manifest.Encrypted{Path: "a.yaml", Format: "yaml", Data: []byte(yaml(t, db, onlyData, secrets.Remote{Key: key}))}
	without := newRig(t, "- age: "+secrets.NewAge(t).Identity+"\n")
	if _, err := without.d.Decrypt(e); err == nil || !strings.Contains(err.Error(), "it was not asked") || len(asked()) > 0 {
		t.Errorf("a service that only the document names: %v, asked %v", err, asked())
	}
	with := newRig(t, "- vault: {address: "+url+", key: shop, token: s.token}\n")
	clear, err := with.d.Decrypt(e)
	if err != nil || string(clear.Text) != db {
		t.Errorf("clear text %q, error %v", clear.Text, err)
	}
	with.confined(t)
}

func TestDecrypter_Idle(t *testing.T) {
	key := secrets.NewAge(t)
	file := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(file, []byte("keys:\n- age: "+key.Identity+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{Program: self, Keys: file, Idle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	running := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.child != nil
	}
	for deadline := time.Now().Add(10 * time.Second); running(); {
		if time.Now().After(deadline) {
			t.Fatal("an idle process stays")
		}
	}
	if _, err := New(Config{Program: self, Keys: file + "x"}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a file: %v", err)
	}
}

// confined looks at the process from outside.
func (r *rig) confined(t *testing.T) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/", r.d.child.PID())
	limits, err := os.ReadFile(folder + "limits")
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(lineOf(string(limits), "Max core file size")); len(fields) < 6 || fields[4] != "0" || fields[5] != "0" {
		t.Errorf("core dumps: %v", fields)
	}
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		t.Fatal(err)
	}
	if seccomp := strings.Fields(lineOf(string(status), "Seccomp:")); len(seccomp) < 2 || seccomp[1] != "2" {
		t.Errorf("no filter of system calls: %v", seccomp)
	}
	if os.Geteuid() == 0 {
		if uids := strings.Fields(lineOf(string(status), "Uid:")); uids[1] == "0" || uids[4] == "0" {
			t.Errorf("it is still root: %v", uids)
		}
	}
	info, err := os.Stat(folder + "mem") // of a process that may not be dumped, the files belong to root
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("its memory belongs to user %d", owner)
	}
}

func lineOf(text, begin string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
	return ""
}

// A chart is rendered with encrypted value files; what it says about a value stays hidden.
func TestLoad_Chart(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n  paths: [shop/]\n  namespaces: [shop]\n")
	files := tree(map[string]string{
		"ns.yaml":                          namespace,
		"writ.yaml":                        "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  charts:\n  - {name: db, namespace: shop, path: charts/db, valueFiles: [shop/values.yaml]}\n",
		"charts/db/Chart.yaml":             "apiVersion: v2\nname: db\nversion: 1.0.0\n",
		"charts/db/templates/secret.yaml":  "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: {{ .Values.password | quote }}}\n",
		"charts/db/templates/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {selector: {app: db}, ports: [{port: {{ .Values.port }}}]}\n",
		"shop/.writignore":                 "values.yaml\n",
		"shop/values.yaml":                 yaml(t, "password: "+secret+"\nport: 5432\n", "^password$", key),
	})
	set, err := r.load(files, r.d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.secretOf(set, "db")["password"]; got != secret {
		t.Errorf("password %q", got)
	}
	if _, err := r.load(files, manifest.Sealed{}, nil); err != nil {
		t.Errorf("without keys: %v", err)
	}
	change := func(name, text string) fstest.MapFS {
		changed := maps.Clone(files)
		changed[name] = &fstest.MapFile{Data: []byte(text)}
		return changed
	}
	for name, test := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"fails with a value":  {change("charts/db/templates/fail.yaml", "{{ fail .Values.password }}\n"), "charts/db/templates/fail.yaml"},
		"a value of no use":   {change("shop/values.yaml", yaml(t, "password: a\nport: "+secret+"\n", "^port$", key)), "Service/shop/db: spec.ports[0].port: must be a whole number"},
		"in another place":    {change("writ.yaml", strings.Replace(string(files["writ.yaml"].Data), "namespace: shop", "namespace: default", 1)), "Secret/default/db: metadata.namespace: is in namespace default, and was decrypted with age key"},
		"a copied value file": {change("writ.yaml", strings.Replace(string(files["writ.yaml"].Data), "shop/values.yaml", "copy.values", 1)), "copy.values:"},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			test.files["copy.values"] = &fstest.MapFile{Data: files["shop/values.yaml"].Data}
			if got := r.refused(test.files); !strings.Contains(got, test.want) {
				t.Errorf("got:\n%s\nwant: %s", got, test.want)
			}
		})
	}
}
