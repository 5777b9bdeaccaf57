package wire

import "strings"

// BaseRoot is the root of the remote base that a path lies in, as "/github.com/org/repo@v1.2": it ends
// with the first part that has an "@". It is empty for a path of the repository.
func BaseRoot(name string) string {
	if !strings.HasPrefix(name, "/") {
		return ""
	}
	at := strings.IndexByte(name, '@')
	if at < 0 {
		return ""
	}
	if end := strings.IndexByte(name[at:], '/'); end >= 0 {
		return name[:at+end]
	}
	return name
}
