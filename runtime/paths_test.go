package runtime

import (
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A file system takes names of 255 bytes.
func TestConfig_Link(t *testing.T) {
	c, id := Config{LogLinks: "/links"}, containerID("u", "main", 0)
	for name, want := range map[string]string{
		"web":                    "web_default_main-" + id + ".log",
		strings.Repeat("w", 253): strings.Repeat("w", 251) + ".log",
		strings.Repeat("w", 200): strings.Repeat("w", 200) + "_default_main-" + id[:251-200-14] + ".log",
	} {
		got := c.link(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}, "main", id)
		if filepath.Base(got) != want || filepath.Dir(got) != "/links" {
			t.Errorf("pod %s: link is %s, want %s", name, got, want)
		}
	}
}
