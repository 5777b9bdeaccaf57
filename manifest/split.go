package manifest

import "bytes"

// chunk is the text of one document of a YAML file and the line, from 1, on which it begins.
type chunk struct {
	line int
	text []byte
}

// splitYAML cuts a file into documents at the markers "---" and "..." that stand at the beginning of
// a line. What follows "---" on its line belongs to the document. Directives are left out.
func splitYAML(data []byte) []chunk {
	var chunks []chunk
	start, startLine, line := 0, 1, 1
	content := false // more than white space and comments since start
	flush := func(end int) {
		if content {
			chunks = append(chunks, chunk{startLine, data[start:end]})
		}
		content = false
	}
	for at := 0; at < len(data); line++ {
		next := at + bytes.IndexByte(data[at:], '\n') + 1
		if next == at {
			next = len(data)
		}
		switch text := data[at:next]; {
		case marker(text, "---"):
			flush(at)
			start, startLine = at+3, line
			content = firstContent(text[3:]) >= 0
		case marker(text, "..."), text[0] == '%' && !content:
			flush(at)
			start, startLine = next, line+1
		default:
			content = content || firstContent(text) >= 0
		}
		at = next
	}
	flush(len(data))
	return chunks
}

// marker tells whether the line consists of the mark or begins with it and white space.
func marker(line []byte, mark string) bool {
	rest, found := bytes.CutPrefix(line, []byte(mark))
	return found && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r')
}

// firstContent is the index, from 0, of the first line of text that holds more than white space and
// a comment, or -1.
func firstContent(text []byte) int {
	for i := 0; len(text) > 0; i++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return i
		}
		text = rest
	}
	return -1
}
