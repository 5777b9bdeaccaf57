package sync

import (
	"net/textproto"
	"strings"
)

// parseTrailers reads the end of a commit message as git-interpret-trailers(1) does: the last
// paragraph, never the subject, holds trailers if every line of it is `Key: value` or the indented
// continuation of one, or if git itself wrote a line of it (Signed-off-by, cherry picked) and a quarter
// of the lines are trailers. Keys are case-insensitive and come out in the form of MIME headers.
func parseTrailers(message string) map[string][]string {
	block := trailerBlock(strings.Split(strings.ReplaceAll(message, "\r\n", "\n"), "\n"))
	var trailers map[string][]string
	last := ""
	for _, line := range block {
		key, value, ok := trailer(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case indented(line):
			if values := trailers[last]; last != "" {
				values[len(values)-1] = strings.TrimSpace(values[len(values)-1] + " " + strings.TrimSpace(line))
			}
		case !ok:
			last = ""
		default:
			if trailers == nil {
				trailers = map[string][]string{}
			}
			last = textproto.CanonicalMIMEHeaderKey(key)
			trailers[last] = append(trailers[last], value)
		}
	}
	return trailers
}

// trailerBlock is the last paragraph, nil where it holds no trailers or is the subject.
func trailerBlock(lines []string) []string {
	end := len(lines)
	for end > 0 && blank(lines[end-1]) {
		end--
	}
	start := end
	for start > 0 && !blank(lines[start-1]) {
		start--
	}
	first := 0
	for first < start && (blank(lines[first]) || strings.HasPrefix(lines[first], "#")) {
		first++
	}
	if first == start {
		return nil // nothing before it: the subject
	}
	trailers, others, byGit := 0, 0, false
	following := false // a trailer that an indented line can continue
	for _, line := range lines[start:end] {
		_, _, ok := trailer(line)
		written := strings.HasPrefix(line, "Signed-off-by: ") || strings.HasPrefix(line, "(cherry picked from commit ")
		switch {
		case strings.HasPrefix(line, "#"):
			following = false
		case written, ok:
			trailers++
			byGit, following = byGit || written, true
		case indented(line) && following:
		default:
			others++
			following = false
		}
	}
	if trailers > 0 && (others == 0 || byGit && trailers*3 >= others) {
		return lines[start:end]
	}
	return nil
}

// trailer splits `Key: value`. A key is of letters, digits and dashes.
func trailer(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, ":")
	key = strings.TrimRight(key, " \t")
	if !ok || key == "" {
		return "", "", false
	}
	for _, r := range []byte(key) {
		if r != '-' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') {
			return "", "", false
		}
	}
	return key, strings.TrimSpace(value), true
}

func blank(line string) bool    { return strings.TrimSpace(line) == "" }
func indented(line string) bool { return strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") }
