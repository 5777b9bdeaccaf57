package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

const ignoreFile = ".writignore"

// ignore is the .writignore rules that hold in a folder: its own and those of the folders above.
type ignore struct {
	patterns []gitignore.Pattern
	key      string // equal for equal rules
}

// below adds the rules of a folder's own file. A nil file adds none.
func (ig ignore) below(folder []string, data []byte) ignore {
	if data == nil {
		return ig
	}
	patterns := slices.Clone(ig.patterns)
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, gitignore.ParsePattern(line, slices.Clone(folder)))
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{ig.key}, append(folder, string(data))...), "\x00")))
	return ignore{patterns, hex.EncodeToString(sum[:])}
}

// match tells whether a file or folder is left out. Names that begin with a dot always are: they hold
// the settings of tools.
func (ig ignore) match(path []string, isDir bool) bool {
	if strings.HasPrefix(path[len(path)-1], ".") {
		return true
	}
	return len(ig.patterns) > 0 && gitignore.NewMatcher(ig.patterns).Match(path, isDir)
}
