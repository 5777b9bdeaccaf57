package volume

import (
	"path/filepath"
	"testing"
)

func TestUnmount_WhatIsNotMounted(t *testing.T) {
	for _, target := range []string{t.TempDir(), filepath.Join(t.TempDir(), "nothing")} {
		if err := Unmount(target); err != nil {
			t.Error(err)
		}
	}
}
