package signature

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func line(t testing.TB) string {
	t.Helper()
	key, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ commit, payload, armor, err string }{
		{"tree a\nauthor b\n\nm\n", "", "", "it is not signed"},
		{"tree a\ngpgsig A\n B\n \n C\nauthor b\n\nm\n", "tree a\nauthor b\n\nm\n", "A\nB\n\nC\n", ""},
		{"tree a\ngpgsig A\n\n", "tree a\n\n", "A\n", ""},
		{"tree a\nmergetag x\n gpgsig B\ngpgsig A\n\nm", "tree a\nmergetag x\n gpgsig B\n\nm", "A\n", ""},
		{"tree a\ngpgsig-sha256 X\n Y\ngpgsig A\n\nm", "tree a\n\nm", "A\n", ""},
		{"tree a\n\ngpgsig A\n", "", "", "it is not signed"},
		{"tree a\ngpgsig A\ngpgsig B\n\nm", "", "", "it has more than one signature"},
		{"", "", "", "it is not signed"},
	} {
		payload, armor, err := Split([]byte(c.commit))
		if err != nil && err.Error() != c.err || err == nil && c.err != "" || string(payload) != c.payload || armor != c.armor {
			t.Errorf("%q: got %q, %q, %v", c.commit, payload, armor, err)
		}
	}
}

func TestReadAllowed(t *testing.T) {
	key := line(t)
	for text, want := range map[string]string{
		"a@b " + key:                                 "",
		"# x\n\n a@b\t" + key + " comment\r\n":       "",
		`"a b" ` + key:                               "",
		`a cert-authority,namespaces="git,x" ` + key: "",
		"a":                                "line 1: no key",
		"a " + key[:30]:                    "line 1: no key",
		`"a ` + key:                        "line 1: no key",
		key:                                "line 1: no key",
		"\na no-touch-required " + key:     "line 2: option \"no-touch-required\" is not known",
		`a namespaces="" ` + key:           "namespaces is empty",
		`a valid-after="yesterday" ` + key: "is no time",
		`a valid-after="20261301" ` + key:  "out of range",
		`a valid-after="20260102",valid-before="20260101" ` + key: "valid-after is not before",
	} {
		_, err := readAllowed(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]time.Time{
		"20260102Z": time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "202601020304Z": time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		"20260102030405": time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local),
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestMatchList(t *testing.T) {
	for _, c := range []struct {
		patterns, name string
		want           bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*@x.org", "a@x.org", true}, {"*@x.org,!eve@*", "eve@x.org", false}, {"!eve@*,*@x.org", "eve@x.org", false},
		{"a?", "ab", true}, {"*", "a/b", true}, {"[ab]", "a", false}, {"[ab]", "[ab]", true}, {"", "a", false}, {"x,a", "a", true}, {`a\b`, `a\b`, true},
	} {
		if got := matchList(c.patterns, c.name); got != c.want {
			t.Errorf("%q of %q: %t, want %t", c.patterns, c.name, got, c.want)
		}
	}
}

func TestScope_Match(t *testing.T) {
	for _, c := range []struct {
		path, folder, name string
		want               bool
	}{
		{"apps/shop/**", ".", "apps/shop/a", true}, {"apps/shop/**", ".", "apps/shop/a/b/c", true}, {"apps/shop/**", ".", "apps/shop", false},
		{"apps/shop/**", ".", "apps/shopping/a", false}, {"apps/shop/", ".", "apps/shop/a/b", true}, {"apps/shop", ".", "apps/shop/a", false},
		{"apps/*", ".", "apps/a", true}, {"apps/*", ".", "apps/a/b", false}, {"**", ".", "a/b", true}, {"**/x.yaml", ".", "x.yaml", true},
		{"**/x.yaml", ".", "a/b/x.yaml", true}, {"a/**/b/*.md", ".", "a/b/c.md", true}, {"a/**/b/*.md", ".", "a/x/y/b/c.md", true},
		{"a/**", "live", "live/a/b", true}, {"a/**", "live", "a/b", false}, {"/a/**", "live", "a/b", true}, {"/a/**", "live", "live/a/b", false},
		{"**", "live", "other/a", false}, {"a/", "l*ve", "live/a/b", false}, {"a/", "l*ve", "l*ve/a/b", true},
	} {
		if got := (Scope{Path: c.path}).Match(c.folder, c.name); got != c.want {
			t.Errorf("%s in %s, %s: %t, want %t", c.path, c.folder, c.name, got, c.want)
		}
	}
}

func TestScope_Validate(t *testing.T) {
	key := line(t)
	for _, c := range []struct {
		scope Scope
		want  string
	}{
		{Scope{Path: "a/**", Keys: []string{key}}, ""}, {Scope{Path: "/a/", Keys: []string{key + " me"}}, ""},
		{Scope{Path: "", Keys: []string{key}}, "no pattern"}, {Scope{Path: "a/../b", Keys: []string{key}}, "no pattern"},
		{Scope{Path: "a//b", Keys: []string{key}}, "no pattern"}, {Scope{Path: "[", Keys: []string{key}}, "no pattern"},
		{Scope{Path: "a**", Keys: []string{key}}, "must be alone"}, {Scope{Path: "**/a/**/b/**/c/**", Keys: []string{key}}, "at most 3"},
		{Scope{Path: "a"}, "has no keys"}, {Scope{Path: "a", Keys: []string{"AB12"}}, "keys[0]: is neither"},
		{Scope{Path: "a", Keys: []string{key + "\n" + key}}, "more than one"}, {Scope{Path: "a", Keys: []string{"-----BEGIN PGP PUBLIC KEY BLOCK-----\nx"}}, "keys[0]"},
	} {
		err := c.scope.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.scope, err, c.want)
		}
	}
}

// Whatever is in a commit, nothing but a signature of the trusted key is accepted, and nothing panics.
func FuzzVerify(f *testing.F) {
	allowed, err := readAllowed("a " + line(f))
	if err != nil {
		f.Fatal(err)
	}
	trust := &Trust{ssh: allowed}
	f.Add([]byte("tree a\ngpgsig -----BEGIN SSH SIGNATURE-----\n U1NIU0lHAAAAAQ==\n -----END SSH SIGNATURE-----\n\nm"))
	f.Add([]byte("tree a\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n wsBcBAABCAAQ\n =abcd\n -----END PGP SIGNATURE-----\n\nm"))
	f.Fuzz(func(t *testing.T, commit []byte) {
		if s, err := trust.Verify(commit, time.Unix(0, 0), time.Unix(0, 0)); err == nil {
			t.Errorf("%q is signed by %+v", commit, s)
		} else if _, _, splitErr := Split(commit); errors.Is(splitErr, ErrUnsigned) && !errors.Is(err, ErrUnsigned) {
			t.Errorf("%q: %v", commit, err)
		}
	})
}
