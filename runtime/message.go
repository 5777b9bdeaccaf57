package runtime

import (
	"bytes"
	"io"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Upstream's bounds of a termination message.
const (
	maxMessage       = 4096
	maxMessageOfLogs = 2048
	maxMessageLines  = 80
)

// terminationMessage is what a container left behind for people.
func (w *worker) terminationMessage(r *Run) string {
	if data := head(w.paths.message(r.ID), maxMessage); len(data) > 0 {
		return string(data)
	}
	c := w.spec(r.Name)
	if c != nil && c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError && r.ExitCode != 0 {
		return lastLines(r.LogPath)
	}
	return ""
}

func head(name string, most int64) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil
	}
	return data
}

// lastLines is the end of a log in the CRI format, without its stamps.
func lastLines(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		if _, err := f.Seek(max(0, size-4*maxMessageOfLogs-maxMessageLines*64), io.SeekStart); err != nil {
			return ""
		}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(lines) > maxMessageLines+1 {
		lines = lines[len(lines)-maxMessageLines-1:]
	}
	var b strings.Builder
	for _, line := range lines {
		fields := bytes.SplitN(line, []byte(" "), 4)
		if len(fields) < 4 {
			continue // cut off in front
		}
		text := fields[3]
		if string(fields[2]) == "P" {
			text = bytes.TrimSuffix(text, []byte("\n"))
		}
		b.Write(text)
	}
	out := b.String()
	return out[max(0, len(out)-maxMessageOfLogs):]
}
