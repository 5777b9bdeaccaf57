package runtime

import (
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// sweepLinks removes the links of logs that are gone: a Pod that was removed while nobody knew its name any
// more. Links to elsewhere are not ours.
func (r *Runtime) sweepLinks() {
	if r.cfg.LogLinks == "" {
		return
	}
	entries, err := os.ReadDir(r.cfg.LogLinks)
	if err != nil {
		return // there are none
	}
	for _, e := range entries {
		name := filepath.Join(r.cfg.LogLinks, e.Name())
		to, err := os.Readlink(name)
		if err != nil || !strings.HasPrefix(to, r.cfg.LogDir+string(filepath.Separator)) || exists(to) {
			continue
		}
		if err := os.Remove(name); err != nil {
			r.log.Warn("link of a log stays", "link", name, "err", err)
		}
	}
}

// logsOf is the directory of a Pod's logs by its UID alone; empty if there is none.
func (r *Runtime) logsOf(uid types.UID) string {
	entries, err := os.ReadDir(r.cfg.LogDir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_"+string(uid)) && strings.Count(e.Name(), "_") == 2 {
			return filepath.Join(r.cfg.LogDir, e.Name())
		}
	}
	return ""
}
