package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// fake opens documents by cutting their metadata off and writing their values in capitals.
type fake struct {
	asked []Encrypted
	err   error
}

func (f *fake) KeysID() string { return "fake" }

func (f *fake) Decrypt(e Encrypted) (Clear, error) {
	f.asked = append(f.asked, e)
	if f.err != nil {
		return Clear{}, f.err
	}
	var lines []string
	for line := range strings.SplitSeq(string(e.Data), "\n") {
		if !strings.Contains(line, "sops") && !strings.Contains(line, "mac:") {
			lines = append(lines, strings.ReplaceAll(line, "ENC", "CLEAR"))
		}
	}
	return Clear{Text: []byte(strings.Join(lines, "\n")), Secrecy: Secrecy{Values: []string{"CLEAR"}}}, nil
}

func encryptedMap(name, mac string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {a: ENC}\nsops:\n  mac: " + mac + "\n"
}

// What was encrypted as one is opened as one; the rest of a file is left alone.
func TestOpen_Groups(t *testing.T) {
	const plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\ndata: {sops: ENC}\n"
	file := "# begin\n" + encryptedMap("a", "one") + "---\n" + plain + "---\n" + encryptedMap("b", "two") + "---\n" + encryptedMap("c", "one")
	d := &fake{}
	text, secrecy, err := Open(d, "a.yaml", "k.yaml", []byte(file))
	if err != nil || secrecy == nil || len(secrecy.Values) != 2 {
		t.Fatalf("secrecy %+v, error %v", secrecy, err)
	}
	if len(d.asked) != 2 || strings.Count(string(d.asked[0].Data), "name:") != 2 || strings.Count(string(d.asked[1].Data), "name:") != 1 || d.asked[0].Reader != "k.yaml" {
		t.Errorf("asked for %d documents: %+v", len(d.asked), d.asked)
	}
	read := mustRead("a.yaml", "", text)
	if len(read.mistakes) > 0 || len(read.objects) != 4 {
		t.Fatalf("objects %d, mistakes %v in\n%s", len(read.objects), read.mistakes, text)
	}
	for i, want := range []string{"a 2", "plain 9", "b 14", "c 21"} {
		p := read.objects[i]
		if got := fmt.Sprintf("%s %d", p.Ref.Name, p.Source.Line); got != want {
			t.Errorf("object %d is %s, want %s in\n%s", i, got, want, text)
		}
	}
	if strings.Count(string(text), "CLEAR") != 3 || strings.Count(string(text), "ENC") != 1 {
		t.Errorf("got\n%s", text)
	}
}

func TestOpen_Format(t *testing.T) {
	const metadata = `"sops": {"mac": "x"}`
	for _, test := range []struct{ name, text, want string }{
		{"a.yaml", encryptedMap("a", "one"), "yaml"},
		{"a.yml", encryptedMap("a", "one"), "yaml"},
		{"a.json", "{" + metadata + "}", "json"},
		{"prod.env", "A=ENC\nsops_mac=x\n", "dotenv"},
		{"a.ini", "[a]\nb = ENC\n[sops]\nmac = x\n", "ini"},
		{"token", `{"data": "ENC", ` + metadata + `}`, "binary"},
		{"tfvars", `{"a": "ENC", "b": 1, ` + metadata + `}`, "json"},
		{"values.prod", "a: ENC\nsops:\n  mac: x\n", "yaml"},
		{"secret.list", "A=ENC\nsops_mac=x\n", "dotenv"},
		{"plain.env", "sops=fine\n", ""},
		{"plain.ini", "[a]\nsops = fine\n", ""},
		{"plain.json", `{"a": "sops"}`, ""},
		{"plain.yaml", "a: sops\n", ""},
		{"plain", "about sops", ""},
		{"large.yaml", "a: " + strings.Repeat("x", maxDocumentBytes) + "\nsops:\n  mac: x\n", "yaml"},
	} {
		d := &fake{}
		text, secrecy, err := Open(d, test.name, "", []byte(test.text))
		got := ""
		if len(d.asked) > 0 {
			got = d.asked[0].Format
		}
		if err != nil || got != test.want || (secrecy != nil) != (test.want != "") {
			t.Errorf("%s: opened as %q, want %q; secrecy %v, error %v", test.name, got, test.want, secrecy, err)
		}
		if test.want == "" && string(text) != test.text {
			t.Errorf("%s: plain text became %q", test.name, text)
		}
	}
}

func TestLoad_DecrypterErrors(t *testing.T) {
	files := "-- a.yaml --\n" + encryptedMap("a", "one") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"
	_, err := Loader{Decrypter: &fake{err: errors.New("no key")}}.Load(tree(t, files), nil)
	if want := "a.yaml:5: no key"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	away := fmt.Errorf("%w: the server is down", ErrUnavailable)
	_, err = Loader{Decrypter: &fake{err: away}}.Load(tree(t, files), nil)
	var mistakes Mistakes
	if !errors.Is(err, ErrUnavailable) || errors.As(err, &mistakes) {
		t.Errorf("keys that are away: %v", err)
	}
}

func TestVeil_Hide(t *testing.T) {
	v := newVeil(Secrecy{Values: []string{"hunter2", "1", "two\nlines of it\n", `a"b\c`, "aGVsbG8gd29ybGQ=", ""}})
	for text, want := range map[string]string{
		`found string "hunter2"`:         `found string "(not shown)"`,
		"found hunter2hunter2":           "found (not shown)(not shown)",
		"base64 aHVudGVyMg== is wrong":   "base64 (not shown) is wrong",
		"at most 1 of 10, port1":         "at most (not shown) of 10, port1",
		`found "two\nlines of it"`:       `found "(not shown)"`,
		"line 2: lines of it":            "line 2: (not shown)",
		`found "a\"b\\c"`:                `found "(not shown)"`,
		"hello world":                    "(not shown)",
		"nothing to hide":                "nothing to hide",
		"data[password]: must be base64": "data[password]: must be base64",
	} {
		if got := v.hide(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	if got := (*veil)(nil).hide("hunter2"); got != "hunter2" {
		t.Errorf("without anything to hide: %s", got)
	}
}

func TestSecret_PlainValuesAreNotTold(t *testing.T) {
	for _, text := range []string{
		"type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: hunter2}\n",
		"type: kubernetes.io/basic-auth\ndata: {password: hunter2}\n",
		"stringData: {password: [hunter2]}\n",
		"stringData: hunter2\n",
		"data: {password: {a: hunter2}}\n",
		"immutable: maybe\nstringData: {password: maybe}\n",
	} {
		f := mustRead("a.yaml", "", []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"+text))
		if len(f.mistakes) == 0 {
			t.Errorf("%s: no mistakes", text)
		}
		if said := f.mistakes.Error(); strings.Contains(said, "hunter2") || strings.Contains(said, `"maybe"`) || strings.Contains(said, "'h'") {
			t.Errorf("%s: tells a value: %s", text, said)
		}
	}
}

// What is encrypted in an object of any kind is told neither whole nor in part, be it of the wrong type.
func TestLoad_EncryptedValuesAreNotTold(t *testing.T) {
	long := strings.Repeat("hunter2!", 8)
	d := &secretive{value: long}
	_, err := Loader{Decrypter: d}.Load(tree(t, "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nbinaryData: {a: ENC}\nimmutable: ENC\nsops: {mac: x}\n"), nil)
	want := `a.yaml:4: ConfigMap/default/a: binaryData[a]: found string "(not shown)": illegal base64 data at input byte 7` + "\n" +
		`a.yaml:5: ConfigMap/default/a: immutable: must be true or false, found string "(not shown)"`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// secretive opens documents with one value.
type secretive struct{ value string }

func (s *secretive) KeysID() string { return "secretive" }

func (s *secretive) Decrypt(e Encrypted) (Clear, error) {
	text, _, _ := strings.Cut(string(e.Data), "sops:")
	return Clear{Text: []byte(strings.ReplaceAll(text, "ENC", s.value)), Secrecy: Secrecy{Values: []string{s.value}}}, nil
}

// Without keys nothing is told of what a stand-in names, and all else is.
func TestSealed_WholeCommit(t *testing.T) {
	const cipher = "'ENC[AES256_GCM,data:x,type:str]'"
	deployment := func(image, secret string) string {
		return "-- a.yaml --\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {a: a}}\n  template:\n    metadata: {labels: {a: a}}\n" +
			"    spec:\n      containers:\n      - name: a\n        image: " + image + "\n        envFrom: [{secretRef: {name: " + secret + "}}]\nsops: {mac: x}\n"
	}
	for _, test := range []struct{ image, secret, want string }{
		{cipher, cipher, ""},
		{cipher, "away", "a.yaml:12: Deployment/default/a: spec.template.spec.containers[0].envFrom[0].secretRef: Secret/default/away is not declared in this commit: the pod could never start"},
		{"UPPER", cipher, `a.yaml:11: Deployment/default/a: spec.template.spec.containers[0].image: "UPPER" is not the name of an image: repository name (library/UPPER) must be lowercase`},
	} {
		_, err := Loader{Decrypter: Sealed{}}.Load(tree(t, deployment(test.image, test.secret)), nil)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("image %s, secret %s: got %q, want %q", test.image, test.secret, got, test.want)
		}
	}
}

// Whatever a file claims to be, reading it without keys ends, and plain text stays as it is.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{"a.yaml", "a.json", "a.env", "a.ini", "a"} {
		f.Add(name, encryptedMap("a", "one")+"---\n"+encryptedMap("ENC[AES256_GCM,data:x,type:str]", "one"))
		f.Add(name, `{"data": "ENC[AES256_GCM,data:x,type:str]", "sops": {"mac": 1}}`)
		f.Add(name, "A=ENC[AES256_GCM,data:x,type:str]\nsops_mac=x\n[sops]\nb=c\n")
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		clear, secrecy, err := Open(Sealed{}, name, "", []byte(text))
		if err == nil && secrecy == nil && string(clear) != text {
			t.Errorf("plain text became %q", clear)
		}
		if _, err := readFile(Sealed{}, name, "", []byte(text)); err != nil {
			t.Error(err)
		}
	})
}
