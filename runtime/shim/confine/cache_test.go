package confine

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func newCache(t *testing.T) Cache {
	t.Helper()
	c, err := NewCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func profile() *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}},
	}
}

func TestKey(t *testing.T) {
	c := newCache(t)
	base := c.Key(profile())
	if len(base) != 64 || base != c.Key(profile()) {
		t.Fatalf("key %q, want the same 64 digits each time", base)
	}
	tests := []struct {
		name string
		edit func(*specs.LinuxSeccomp)
		kept bool
	}{
		{"another call", func(p *specs.LinuxSeccomp) { p.Syscalls[0].Names[0] = "write" }, true},
		{"another machine", func(p *specs.LinuxSeccomp) { p.Architectures = []specs.Arch{specs.ArchX86} }, true},
		{"flags", func(p *specs.LinuxSeccomp) { p.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog} }, false},
		{"listener", func(p *specs.LinuxSeccomp) { p.ListenerPath = "/run/agent" }, false},
		{"notify", func(p *specs.LinuxSeccomp) { p.Syscalls[0].Action = specs.ActNotify }, false},
		{"notify by default", func(p *specs.LinuxSeccomp) { p.DefaultAction = specs.ActNotify }, false},
		{"empty", func(p *specs.LinuxSeccomp) { *p = specs.LinuxSeccomp{} }, false},
	}
	for _, tt := range tests {
		p := profile()
		tt.edit(p)
		if got := c.Key(p); (got != "") != tt.kept || got == base {
			t.Errorf("%s: key %q, want one: %v, other than %q", tt.name, got, tt.kept, base)
		}
	}
	if got := c.Key(nil); got != "" {
		t.Errorf("no profile: key %q", got)
	}
	if got := (Cache{}).Key(profile()); got != "" {
		t.Errorf("no cache: key %q", got)
	}
	c.binary += "another build"
	if got := c.Key(profile()); got == base {
		t.Error("another build has the same key")
	}
}

func TestCache_KeepsWhole(t *testing.T) {
	c := newCache(t)
	if p, err := c.Load("k"); p != nil || err != nil {
		t.Fatalf("empty: %v, %v", p, err)
	}
	want := Program(bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 9))
	if err := c.Save("k", want); err != nil {
		t.Fatal(err)
	}
	got, err := c.Load("k")
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
	entries, _ := os.ReadDir(c.dir)
	if len(entries) != 1 {
		t.Errorf("%d files are left, want one", len(entries))
	}
}

func TestCache_Refuses(t *testing.T) {
	whole := seal(bytes.Repeat([]byte{7}, 16))
	damaged := bytes.Clone(whole)
	damaged[40] ^= 1
	tests := []struct {
		name string
		make func(path string) error
		want string
	}{
		{"cut", func(p string) error { return os.WriteFile(p, whole[:44], 0o600) }, "sum does not match"},
		{"short", func(p string) error { return os.WriteFile(p, whole[:5], 0o600) }, "too short"},
		{"changed", func(p string) error { return os.WriteFile(p, damaged, 0o600) }, "sum does not match"},
		{"no program", func(p string) error { return os.WriteFile(p, seal(nil), 0o600) }, "0 bytes"},
		{"huge", func(p string) error { return os.WriteFile(p, make([]byte, 1<<20), 0o600) }, "at most"},
		{"open to all", func(p string) error {
			if err := os.WriteFile(p, whole, 0o600); err != nil {
				return err
			}
			return os.Chmod(p, 0o666)
		}, "only user"},
		{"link", func(p string) error {
			if err := os.WriteFile(p+".real", whole, 0o600); err != nil {
				return err
			}
			return os.Symlink(p+".real", p)
		}, "open filter"},
		{"directory", func(p string) error { return os.Mkdir(p, 0o700) }, "only user"},
	}
	for _, tt := range tests {
		c := newCache(t)
		if err := tt.make(filepath.Join(c.dir, "k")); err != nil {
			t.Fatal(err)
		}
		if p, err := c.Load("k"); p != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", tt.name, p, err, tt.want)
		}
	}
}

func TestSave_RefusesWhatCannotBe(t *testing.T) {
	c := newCache(t)
	for _, size := range []int{0, 7, 12, 8*maxInstructions + 8} {
		if err := c.Save("k", make(Program, size)); err == nil {
			t.Errorf("%d bytes are kept", size)
		}
	}
	if entries, _ := os.ReadDir(c.dir); len(entries) > 0 {
		t.Errorf("%d files are left", len(entries))
	}
}
