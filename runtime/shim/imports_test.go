package shim_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImports holds what may be linked into the shim and into the daemon's side
// of the protocol. It reads the import clauses itself: a test that asks go list
// is cached and lies.
func TestImports(t *testing.T) {
	client := []string{"golang.org/x/sys/unix", "github.com/opencontainers/runtime-spec/specs-go"}
	container := []string{
		"github.com/containerd/console",
		"github.com/opencontainers/cgroups",
		"github.com/opencontainers/cgroups/devices",
		"github.com/opencontainers/cgroups/manager",
		"github.com/opencontainers/runc/libcontainer",
		"github.com/opencontainers/runc/libcontainer/configs",
		"github.com/opencontainers/runc/libcontainer/specconv",
		"github.com/opencontainers/runc/libcontainer/utils",
	}
	own := []string{"writ/runtime/shim", "writ/runtime/shim/confine", "writ/runtime/shim/crilog"}
	tests := []struct {
		dir     string
		allowed []string
	}{
		{".", client},
		{"../../sockets", []string{"golang.org/x/sys/unix", "github.com/coreos/go-systemd/v22/activation"}},
		{"crilog", nil},
		{"confine", client},
		{"supervisor", slices.Concat(client, container, own)},
		{"../../cmd/writ-shim", append(own, "writ/runtime/shim/supervisor", "writ/sockets",
			"github.com/opencontainers/runc/libcontainer", "github.com/opencontainers/runc/libcontainer/nsenter")},
	}
	for _, tt := range tests {
		files, err := fs.Glob(os.DirFS(tt.dir), "*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", tt.dir, len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			path := filepath.Join(tt.dir, name)
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if standard(imported) || slices.Contains(tt.allowed, imported) {
					continue
				}
				t.Errorf("%s imports %s, which is not on its list", path, imported)
			}
		}
	}
}

// standard reports whether a package is of the standard library: its first
// element has no dot, and it is not of this module.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != "writ"
}
