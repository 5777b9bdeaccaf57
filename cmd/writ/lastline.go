package main

import (
	"bytes"
	"errors"
	"strings"
)

// lastLine remembers the last whole line that was written to it.
type lastLine struct{ text []byte }

func (l *lastLine) Write(p []byte) (int, error) {
	l.text = append(l.text, p...)
	if i := bytes.LastIndexByte(bytes.TrimRight(l.text, "\n"), '\n'); i >= 0 {
		l.text = append(l.text[:0], l.text[i+1:]...)
	}
	return len(p), nil
}

// verdict is an error when the last line reports one or there was none.
func (l *lastLine) verdict() error {
	line := strings.TrimSpace(string(l.text))
	if text, failed := strings.CutPrefix(line, "error: "); failed {
		return errors.New(text)
	}
	if line == "" {
		return errors.New("the daemon hung up")
	}
	return nil
}
