package signature

import (
	"strings"
	"testing"
	"time"
)

// Whatever a file of allowed signers says, it is refused with a line or every key in it has a name.
func FuzzReadAllowed(f *testing.F) {
	key := line(f)
	for _, seed := range []string{"a@b " + key, `"a b",!c,*@d cert-authority,namespaces="git,x" ` + key, `a valid-after="20260102",valid-before="20270101Z" ` + key, "# x\n\na " + key[:30], `"`, "a ,, " + key} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readAllowed(text)
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: %v", text, err)
		}
		for _, a := range all {
			if a.key == nil {
				t.Errorf("%q: a signer without a key", text)
			}
			_, _ = a.accepts(a.key, time.Unix(0, 0))
		}
	})
}

// A pattern of names takes bounded time, and none that begins with ! trusts anybody.
func FuzzMatchList(f *testing.F) {
	f.Add("*@example.org,!eve@example.org", "ada@example.org")
	f.Add(strings.Repeat("*a", 30), strings.Repeat("a", 60)+"b")
	f.Fuzz(func(t *testing.T, patterns, name string) {
		if len(patterns) > 1000 || len(name) > 1000 {
			return
		}
		matchList(patterns, name)
		if matchList("!"+strings.NewReplacer(",", "", "!", "").Replace(patterns), name) {
			t.Errorf("!%q matches %q", patterns, name)
		}
	})
}

// Paths that a key is trusted for: what is not below the pattern's own first folder is not covered.
func FuzzScope(f *testing.F) {
	f.Add("apps/shop/**", "clusters", "clusters/apps/shop/a.yaml")
	f.Add("/"+strings.Repeat("**/", 20)+"x", ".", strings.Repeat("a/", 40)+"y")
	f.Fuzz(func(t *testing.T, pattern, folder, name string) {
		if len(pattern)+len(folder)+len(name) > 500 {
			return
		}
		s := Scope{Path: "only/" + pattern}
		if s.ValidPath() != nil {
			return
		}
		if s.Match("", name) && !strings.HasPrefix(name, "only/") {
			t.Errorf("%q covers %q", s.Path, name)
		}
		s.Match(folder, name)
	})
}
