package sops

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/kms"

	"writ/fixtures/secrets"
	"writ/render/wire"
)

const secret = "correct-horse-battery"

const manifestText = `apiVersion: v1
kind: Secret
metadata:
    name: db
    namespace: shop
stringData:
    user: ada
    password: ` + secret + `
`

// keysFile writes a file of keys and reads it.
func keysFile(t *testing.T, text string) *keyring {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, err := readKeys(name)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func indent(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") }

var place = wire.Open{Path: "apps/shop/db.yaml", Format: "yaml"}

func TestOpen_Formats(t *testing.T) {
	key := secrets.NewAge(t)
	ring := keysFile(t, "keys:\n- age: "+key.Identity+"\n")
	for format, text := range map[string]string{
		"yaml":   manifestText + "---\nkind: ConfigMap\nother: second document\n",
		"json":   `{"kind": "Secret", "data": {"password": "` + secret + `", "port": 5432}}`,
		"dotenv": "USER=ada\nPASSWORD=" + secret + "\n",
		"ini":    "[db]\npassword = " + secret + "\n",
		"binary": "\x00\x01" + secret,
	} {
		t.Run(format, func(t *testing.T) {
			data := secrets.Encrypt(t, secrets.File{Format: format, Text: text, Keys: []secrets.Locker{key}})
			if strings.Contains(string(data), secret) {
				t.Fatal("the file is not encrypted")
			}
			opened, clear := ring.open(t.Context(), wire.Open{Path: "a", Format: format}, data)
			if opened.Refused != "" || !strings.Contains(string(clear), secret) {
				t.Fatalf("refused %q, clear %q", opened.Refused, clear)
			}
			if !slices.ContainsFunc(opened.Values, func(v string) bool { return strings.Contains(v, secret) }) {
				t.Errorf("values %q", opened.Values)
			}
			if strings.Contains(string(clear), "sops") {
				t.Error("metadata is left")
			}
		})
	}
}

func TestOpen_PGP(t *testing.T) {
	for name, passphrase := range map[string]string{"plain": "", "with a passphrase": "open sesame"} {
		t.Run(name, func(t *testing.T) {
			key, other := secrets.NewPGP(t, ""), secrets.NewPGP(t, "")
			private := key.Private
			if passphrase != "" {
				key = secrets.NewPGP(t, passphrase)
				private = key.Private
			}
			text := "keys:\n- pgp: |\n    " + indent(other.Private) + "\n- pgp: |\n    " + indent(private) + "\n"
			if passphrase != "" {
				text += "  passphrase: " + passphrase + "\n"
			}
			data := secrets.Encrypt(t, secrets.File{Format: "yaml", Text: manifestText, Keys: []secrets.Locker{key}})
			opened, clear := keysFile(t, text).open(t.Context(), place, data)
			if opened.Refused != "" || string(clear) != manifestText {
				t.Errorf("refused %q, clear:\n%s", opened.Refused, clear)
			}
		})
	}
}

// Whatever is done to a file without its key, it does not open, and nothing of it is told.
func TestOpen_Tampered(t *testing.T) {
	key := secrets.NewAge(t)
	ring := keysFile(t, "keys:\n- age: "+key.Identity+"\n")
	file := secrets.File{Format: "yaml", Text: manifestText, Regex: "^(data|stringData)$", Keys: []secrets.Locker{key}}
	whole := string(secrets.Encrypt(t, file))
	file.Change = func(tree *sops.Tree) { tree.Metadata.MACOnlyEncrypted = true }
	onlyEncrypted := string(secrets.Encrypt(t, file))
	line := func(text, key string) string {
		for l := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimSpace(l), key+":") {
				return l
			}
		}
		t.Fatalf("no %s in %s", key, text)
		return ""
	}
	swapped := strings.NewReplacer("user: ENC", "password: ENC", "password: ENC", "user: ENC").Replace(whole)
	for name, test := range map[string]struct{ text, want string }{
		"clear value changed":      {strings.Replace(whole, "namespace: shop", "namespace: bank", 1), "it was changed or moved"},
		"clear value added":        {strings.Replace(whole, "    name: db", "    name: db\n    labels: {a: b}", 1), "it was changed or moved"},
		"plain value among others": {strings.Replace(whole, "stringData:\n", "stringData:\n    added: "+secret+"\n", 1), "a value was changed or moved"},
		"encrypted value removed":  {strings.Replace(whole, line(whole, "user"), "", 1), "it was changed or moved"},
		"encrypted values swapped": {swapped, "a value was changed or moved"},
		"checksum removed":         {strings.Replace(whole, line(whole, "mac"), "", 1), "it was changed or moved"},
		"checksum of another file": {strings.Replace(whole, line(whole, "mac"), line(onlyEncrypted, "mac"), 1), "it was changed or moved"},
		"metadata removed":         {whole[:strings.Index(whole, "sops:")], "SOPS metadata is missing"},
		"no keys":                  {strings.Replace(whole, "age:", "pgp:", 1), "cannot be"},
		"aliases":                  {"a: &a [1,2]\nb: *a\n" + whole, "it was changed or moved"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.text == whole {
				t.Fatal("nothing was changed")
			}
			opened, clear := ring.open(t.Context(), place, []byte(test.text))
			if !strings.Contains(opened.Refused, test.want) || len(clear) > 0 || len(opened.Values) > 0 {
				t.Errorf("refused %q, clear %q, want %q", opened.Refused, clear, test.want)
			}
			if strings.Contains(opened.Refused, secret) {
				t.Errorf("tells a value: %s", opened.Refused)
			}
		})
	}
}

func TestOpen_Bindings(t *testing.T) {
	shop, bank, stranger := secrets.NewAge(t), secrets.NewPGP(t, ""), secrets.NewAge(t)
	ring := keysFile(t, fmt.Sprintf(`keys:
- age: %s
  paths: [apps/shop/**]
  namespaces: [shop, shop-test]
- pgp: |
    %s
  paths: [apps/bank/]
`, shop.Identity, indent(bank.Private)))
	forShop := secrets.Encrypt(t, secrets.File{Format: "yaml", Text: manifestText, Keys: []secrets.Locker{shop}})
	forBank := secrets.Encrypt(t, secrets.File{Format: "yaml", Text: manifestText, Keys: []secrets.Locker{bank}})
	forged := []byte(strings.Replace(string(forShop), shop.Recipient, stranger.Recipient, 1))
	for name, test := range map[string]struct {
		path, reader string
		data         []byte
		want         string
	}{
		"in its folder":           {"apps/shop/db.yaml", "", forShop, ""},
		"read from its folder":    {"apps/shop/db.yaml", "apps/shop/eu/kustomization.yaml", forShop, ""},
		"copied":                  {"apps/bank/db.yaml", "", forShop, "age key " + shop.Recipient + " is bound to apps/shop/**"},
		"copied, forged":          {"apps/bank/db.yaml", "", forged, "age key " + shop.Recipient + " is bound to apps/shop/**"},
		"copied to the root":      {"db.yaml", "", forShop, "is bound to apps/shop/**"},
		"read from elsewhere":     {"apps/shop/db.yaml", "apps/bank/kustomization.yaml", forShop, "is bound to apps/shop/**, and apps/bank/kustomization.yaml reads it"},
		"PGP in its folder":       {"apps/bank/db.yaml", "", forBank, ""},
		"PGP copied":              {"apps/shop/db.yaml", "", forBank, "PGP key " + bank.Fingerprint + " is bound to apps/bank/"},
		"a folder of that prefix": {"apps/shopping/db.yaml", "", forShop, "is bound to"},
		"a stranger's":            {"apps/shop/db.yaml", "", secrets.Encrypt(t, secrets.File{Format: "yaml", Text: manifestText, Keys: []secrets.Locker{stranger}}), "needs the age key " + stranger.Recipient + ", which this node does not have"},
	} {
		t.Run(name, func(t *testing.T) {
			opened, clear := ring.open(t.Context(), wire.Open{Path: test.path, Reader: test.reader, Format: "yaml"}, test.data)
			if test.want == "" {
				if opened.Refused != "" || string(clear) != manifestText {
					t.Errorf("refused %q", opened.Refused)
				}
				return
			}
			if !strings.Contains(opened.Refused, test.want) || len(clear) > 0 {
				t.Errorf("refused %q, want %q", opened.Refused, test.want)
			}
		})
	}
	opened, _ := ring.open(t.Context(), place, forShop)
	if len(opened.Uses) != 1 || !slices.Equal(opened.Uses[0].Namespaces, []string{"shop", "shop-test"}) || !strings.Contains(opened.Uses[0].Key, shop.Recipient) {
		t.Errorf("uses %+v", opened.Uses)
	}
}

func TestOpen_Vault(t *testing.T) {
	ours, asked := secrets.KeyService(t, http.StatusOK)
	elsewhere, askedElsewhere := secrets.KeyService(t, http.StatusOK)
	ring := keysFile(t, "keys:\n- vault: {address: "+ours+", key: shop, token: s.token}\n  paths: [apps/shop/**]\n")
	encrypt := func(address, engine, key string) []byte {
		return secrets.Encrypt(t, secrets.File{Format: "yaml", Text: manifestText, Keys: []secrets.Locker{secrets.Remote{Key: hcvault.NewMasterKey(address, engine, key)}}})
	}
	for name, data := range map[string][]byte{
		"another server": encrypt(elsewhere, "transit", "shop"),
		"another key":    encrypt(ours, "transit", "bank"),
		"another engine": encrypt(ours, "sys/raw", "shop"),
		"a way around":   encrypt(ours+"/v1/transit/keys/shop?", "transit", "shop"),
	} {
		opened, _ := ring.open(t.Context(), place, data)
		if !strings.Contains(opened.Refused, "which the node's keys do not list; it was not asked") || opened.Away {
			t.Errorf("%s: refused %q", name, opened.Refused)
		}
	}
	if opened, _ := ring.open(t.Context(), wire.Open{Path: "apps/bank/a.yaml", Format: "yaml"}, encrypt(ours, "transit", "shop")); !strings.Contains(opened.Refused, "is bound to apps/shop/**") {
		t.Errorf("bound elsewhere: refused %q", opened.Refused)
	}
	if len(asked())+len(askedElsewhere()) > 0 {
		t.Fatalf("servers were asked: %v %v", asked(), askedElsewhere())
	}
	opened, clear := ring.open(t.Context(), place, encrypt(ours, "transit", "shop"))
	if opened.Refused != "" || string(clear) != manifestText {
		t.Errorf("refused %q", opened.Refused)
	}
	if want := []string{"PUT /v1/transit/decrypt/shop s.token"}; !slices.Equal(asked(), want) {
		t.Errorf("asked %v, want %v", asked(), want)
	}
}

func TestOpen_AWS(t *testing.T) {
	const arn = "arn:aws:kms:eu-central-1:111122223333:key/12345678-1234-1234-1234-123456789012"
	url, asked := secrets.KeyService(t, http.StatusOK)
	ring := keysFile(t, "keys:\n- aws: {arn: '"+arn+"', accessKeyID: AKIA, secretAccessKey: s3cr3t, endpoint: "+url+"}\n")
	encrypt := func(arn, role string) []byte {
		return secrets.Encrypt(t, secrets.File{Format: "yaml", Text: manifestText, Keys: []secrets.Locker{secrets.Remote{Key: kms.NewMasterKey(arn, role, nil)}}})
	}
	if opened, _ := ring.open(t.Context(), place, encrypt(strings.Replace(arn, "eu-central-1", "evil", 1), "")); !strings.Contains(opened.Refused, "do not list") {
		t.Errorf("another region: refused %q", opened.Refused)
	}
	if opened, _ := ring.open(t.Context(), place, encrypt(arn, "arn:aws:iam::1:role/admin")); !strings.Contains(opened.Refused, "role/admin, which the node's keys do not list") {
		t.Errorf("role: refused %q", opened.Refused)
	}
	if len(asked()) > 0 {
		t.Fatalf("asked %v", asked())
	}
	if opened, clear := ring.open(t.Context(), place, encrypt(arn, "")); opened.Refused != "" || string(clear) != manifestText {
		t.Errorf("refused %q", opened.Refused)
	}
}

// A key service that is away says nothing about the commit; one that says no does.
func TestOpen_Away(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	forbidden, _ := secrets.KeyService(t, http.StatusForbidden)
	for name, test := range map[string]struct {
		url  string
		away bool
	}{"closed": {gone.URL, true}, "forbidden": {forbidden, false}} {
		t.Run(name, func(t *testing.T) {
			ring := keysFile(t, "keys:\n- vault: {address: "+test.url+", key: shop, token: t}\n")
			data := secrets.Encrypt(t, secrets.File{Format: "yaml", Text: manifestText, Keys: []secrets.Locker{secrets.Remote{Key: hcvault.NewMasterKey(test.url, "transit", "shop")}}})
			if opened, _ := ring.open(t.Context(), place, data); opened.Refused == "" || opened.Away != test.away {
				t.Errorf("got %+v", opened)
			}
		})
	}
}

func TestReadKeys_Refused(t *testing.T) {
	key := secrets.NewAge(t)
	good := "keys:\n- age: " + key.Identity + "\n"
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by others":   {good, 0o644, "has mode 0644 and must have 0600 or 0400"},
		"executable":           {good, 0o700, "has mode 0700"},
		"empty":                {"", 0o600, "holds no keys"},
		"unknown field":        {good + "  path: a\n", 0o600, `unknown field "path"`},
		"not YAML":             {key.Identity, 0o600, "is not YAML of the form"},
		"two kinds":            {good + "  pgp: x\n", 0o600, "keys[0]: must have one of"},
		"half a key":           {"keys:\n- age: " + key.Identity[:40] + "\n", 0o600, "holds no age identities"},
		"bad pattern":          {good + "  paths: [a**]\n", 0o600, "** stands for folders"},
		"empty list":           {good + "  paths: []\n", 0o600, "leave it out to allow all"},
		"vault without token":  {"keys:\n- vault: {address: 'https://v', key: k}\n", 0o600, "token or tokenFile are needed"},
		"a public key":         {"keys:\n- age: " + key.Recipient + "\n", 0o600, "holds no age identities"},
		"file that is missing": {"keys:\n- ageFile: nowhere\n", 0o600, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "keys.yaml")
			if err := os.WriteFile(file, []byte(test.text), test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := readKeys(file)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), key.Identity[16:40]) {
				t.Errorf("tells the key: %v", err)
			}
		})
	}
	link := filepath.Join(t.TempDir(), "link.yaml")
	target := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(target, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := readKeys(link); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a link: %v", err)
	}
	if _, err := readKeys(target); err != nil {
		t.Error(err)
	}
}
