package runtime

import (
	"os"
	"path/filepath"
	"testing"
)

// A container that manages groups of its own (another container runtime, systemd) has some below its own.
func TestRemoveTree(t *testing.T) {
	group := filepath.Join(t.TempDir(), "pod")
	for _, dir := range []string{"container/docker/inner", "container/system", "other"} {
		if err := os.MkdirAll(filepath.Join(group, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second finds nothing
		if err := removeTree(t.Context(), group); err != nil || exists(group) {
			t.Errorf("%v; the group is there: %v", err, exists(group))
		}
	}
}
