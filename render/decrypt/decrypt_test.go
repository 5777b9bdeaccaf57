package decrypt

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"writ/fixtures/secrets"
	"writ/manifest"
)

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

// What one unit is refused is not for another: each is told why.
func TestLoad_EachReaderIsTold(t *testing.T) {
	key := secrets.NewAge(t)
	r := newRig(t, "- age: "+key.Identity+"\n  paths: [shop/]\n")
	files := map[string]string{"ns.yaml": namespace, "shop/db.yaml": yaml(t, db, onlyData, key)}
	readers := []string{"a", "b", "c", "d", "e", "f"} // more than children
	for _, reader := range readers {
		files[reader+"/kustomization.yaml"] = "resources: [../shop/db.yaml]\n"
	}
	got := r.refused(tree(files))
	for _, reader := range readers {
		if want := "is bound to shop/, and " + reader + "/kustomization.yaml reads it"; !strings.Contains(got, want) {
			t.Errorf("got:\n%s\nwant: %s", got, want)
		}
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
