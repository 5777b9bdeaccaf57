package volume

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

func TestEnvValue(t *testing.T) {
	s := &Set{Dir: t.TempDir(), Calls: &Calls{}}
	dir := s.Path("cfg")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"good": "# a\nA='1'\nB='two\nlines'\n", "bad": "A=1\n", "../outside": "A='secret'\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"in": "good", "out": "../outside", "abs": filepath.Join(s.Dir, "outside")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "large"), 0); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, longestEnvFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "cfg", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}}}}}}
	for _, tt := range []struct {
		volume, path, key, want string
		fails                   bool
	}{
		{"cfg", "good", "A", "1", false}, {"cfg", "good", "B", "two\nlines", false}, {"cfg", "good", "C", "", false}, {"cfg", "in", "A", "1", false},
		{"cfg", "bad", "A", "", true}, {"cfg", "none", "A", "", true}, {"cfg", "out", "A", "", true}, {"cfg", "abs", "A", "", true}, {"cfg", "fifo", "A", "", true},
		{"cfg", "large", "A", "", true}, {"cfg", "../outside", "A", "", true}, {"host", "good", "A", "", true}, {"none", "good", "A", "", true},
	} {
		got, err := s.EnvValue(t.Context(), pod, tt.volume, tt.path, tt.key)
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%s/%s %s: %q, %v, want %q, fails %v", tt.volume, tt.path, tt.key, got, err, tt.want, tt.fails)
		}
	}
}

// A container may write to the file for as long as it is read.
func TestCopyBounded(t *testing.T) {
	for size, fine := range map[int]bool{0: true, longestEnvFile: true, longestEnvFile + 1: false, 3 * longestEnvFile: false} {
		from, to := bytes.NewReader(make([]byte, size)), &bytes.Buffer{}
		if err := copyBounded(to, from, "x"); (err == nil) != fine || to.Len() > longestEnvFile+1 {
			t.Errorf("%d bytes: %v, %d were read", size, err, to.Len())
		}
	}
}
