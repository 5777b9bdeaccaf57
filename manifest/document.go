package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Limits on what one commit may hold. Content is hostile until it is checked.
const (
	maxFileBytes      = 4 << 20   // one file
	maxIgnoreBytes    = 64 << 10  // one .writignore
	maxPatterns       = 1_000     // rules of .writignore files that hold at one place
	maxDocuments      = 10_000    // documents of one file
	maxDocumentBytes  = 2 << 20   // one document; parsing takes about a hundred times as much memory
	maxObjectBytes    = 3 << 19   // one object as JSON, 1.5 MiB as upstream
	maxExpandedBytes  = 16 << 20  // one file as JSON, with every alias written out
	maxTreeBytes      = 512 << 20 // all objects of a commit as JSON
	maxNesting        = 200       // mappings and lists inside each other
	maxLists          = 4         // objects of kind List inside each other
	maxFolderDepth    = 64        // folders inside each other
	maxFolders        = 200_000   // folders of a commit
	maxFiles          = 200_000   // manifests of a commit
	maxObjects        = 200_000   // objects of a commit
	maxMistakes       = 10_000    // what is reported at once
	maxMistakesOfFile = 200       // what one file may report
	maxMistakeBytes   = 2 << 10   // one mistake: upstream repeats the wrong value, however long it is
)

// toJSON converts the text of one YAML document. Problems carry lines relative to the document in
// line; data is nil if nothing could be read.
func toJSON(text []byte) (data []byte, problems []lineProblem) {
	if bytes.HasPrefix(text, []byte("{")) && len(checkJSON(text)) == 0 {
		return text, nil // as kustomizations are rendered; YAML's parser would take several times as long
	}
	if p := checkAliases(text); p != nil {
		return nil, []lineProblem{*p}
	}
	data, err := yaml.YAMLToJSONStrict(text)
	if err == nil {
		return data, nil
	}
	if !strings.Contains(err.Error(), "already set in map") {
		return nil, yamlProblems(err, text)
	}
	if data, err = yaml.YAMLToJSON(text); err != nil {
		return nil, yamlProblems(err, text)
	}
	return data, repeatedKeys(text)
}

// checkJSON looks for keys that are written twice.
func checkJSON(data []byte) []problem {
	var value any
	strict, err := kjson.UnmarshalStrict(data, &value, kjson.DisallowDuplicateFields)
	if err != nil {
		return []problem{{what: err.Error()}}
	}
	return strictProblems(strict)
}

// strictProblems are the errors of strict decoding with the paths that they are about.
func strictProblems(errs []error) []problem {
	problems := make([]problem, len(errs))
	for i, err := range errs {
		problems[i].what = err.Error()
		if f, ok := err.(kjson.FieldError); ok {
			problems[i].path = f.FieldPath()
		}
	}
	return problems
}

// lineProblem is a problem at a line, counted from 1 within its document; 0 means its beginning.
type lineProblem struct {
	line int
	what string
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// yamlProblems takes a YAML parser's error apart: each with its line.
func yamlProblems(err error, text []byte) []lineProblem {
	message := err.Error()
	message = strings.TrimPrefix(message, "error converting YAML to JSON: ")
	message = strings.TrimPrefix(message, "yaml: ")
	message = strings.TrimPrefix(message, "unmarshal errors:\n")
	var problems []lineProblem
	for line := range strings.SplitSeq(message, "\n") {
		p := lineProblem{what: strings.TrimSpace(line)}
		if m := yamlLine.FindStringSubmatch(p.what); m != nil {
			p.line, _ = strconv.Atoi(m[1])
			p.what = yamlLine.ReplaceAllString(p.what, "")
		}
		if strings.Contains(p.what, "cannot start any token") {
			if at := tabIndent(text); at > 0 {
				p = lineProblem{at, "a tab is used for indentation, YAML allows spaces only"}
			}
		}
		if strings.Contains(p.what, "could not find expected ':'") {
			if at := longMarker(text, p.line); at > 0 {
				p = lineProblem{at, "a line of four or more dashes begins no document, write three"}
			}
		}
		problems = append(problems, p)
	}
	return problems
}

// tabIndent is the first line, from 1, that is indented with a tab, or 0.
func tabIndent(text []byte) int {
	line := 0
	for l := range bytes.Lines(text) {
		line++
		if indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]; bytes.IndexByte(indent, '\t') >= 0 {
			return line
		}
	}
	return 0
}

// longMarker is the last line of more than three dashes and nothing else before a line, or 0.
func longMarker(text []byte, before int) int {
	line, found := 0, 0
	for l := range bytes.Lines(text) {
		if line++; line >= before {
			break
		}
		if l = bytes.TrimRight(l, " \t\r\n"); len(l) > 3 && len(bytes.Trim(l, "-")) == 0 {
			found = line
		}
	}
	return found
}

// checkText refuses what no YAML or JSON file of people holds.
func checkText(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/v1")):
		return "is a Git LFS pointer, not the file itself; commit manifests without LFS"
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return "is written in UTF-16; save it as UTF-8"
	case bytes.IndexByte(data, 0) >= 0:
		return "holds a zero byte; it is not a text file"
	case !utf8.Valid(data):
		return "is not valid UTF-8"
	}
	return ""
}

// nesting is how deep mappings and lists of a JSON text lie inside each other.
func nesting(data []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// splitJSON cuts a file into the JSON values that follow each other in it.
func splitJSON(data []byte) ([]chunk, *lineProblem) {
	var chunks []chunk
	decoder := json.NewDecoder(bytes.NewReader(data))
	line, counted := 1, 0
	lineOf := func(at int) int {
		line += bytes.Count(data[counted:at], []byte("\n"))
		counted = at
		return line
	}
	for {
		begin := int(decoder.InputOffset())
		begin += len(data[begin:]) - len(bytes.TrimLeft(data[begin:], " \t\r\n"))
		if begin == len(data) {
			return chunks, nil
		}
		at := lineOf(begin)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return chunks, &lineProblem{lineOf(syntaxOffset(err, begin, len(data))), "not valid JSON: " + err.Error()}
		}
		chunks = append(chunks, chunk{at, value})
		if len(chunks) > maxDocuments {
			return nil, &lineProblem{what: fmt.Sprintf("holds more than %d documents", maxDocuments)}
		}
	}
}

// syntaxOffset is where in the file a JSON error lies.
func syntaxOffset(err error, begin, end int) int {
	if s, ok := err.(*json.SyntaxError); ok {
		return min(max(int(s.Offset)-1, begin), end)
	}
	return end
}
