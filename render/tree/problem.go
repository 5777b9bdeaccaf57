package tree

import (
	"regexp"
	"strconv"
)

var yamlLine = regexp.MustCompile(`yaml: (?:unmarshal errors:\s+)?line (\d+): `)

// Problem takes a YAML parser's message apart: the line that it is about, 0 if it names none, and what
// follows.
func Problem(message string) (line int, what string) {
	at := yamlLine.FindStringSubmatchIndex(message)
	if at == nil {
		return 0, message
	}
	line, _ = strconv.Atoi(message[at[2]:at[3]]) // digits
	return line, message[at[1]:]
}
