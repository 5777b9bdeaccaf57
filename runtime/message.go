package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/shim"
)

// Upstream's bounds of a termination message.
const (
	maxMessage       = 4096
	maxMessageOfLogs = 2048
	maxMessageLines  = 80
	maxMessages      = 12 << 10 // of a Pod
)

// terminationMessage is what a container left behind for people.
func (w *worker) terminationMessage(r *Run) string {
	c := w.spec(r.Name)
	if c == nil {
		return "" // of a Pod of which nothing is known any more: nobody is told
	}
	data, err := tail(w.paths.message(r.ID), maxMessage)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Sprintf("Error on reading termination log %s: %v", c.TerminationMessagePath, err)
	case len(data) > 0:
		return string(data)
	}
	if c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError && r.ExitCode != 0 && r.Reason != shim.ReasonStartError {
		return lastLines(r.LogPath)
	}
	return ""
}

// tail is the end of a file.
func tail(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// boundMessages shares what the messages of a Pod may take among its containers.
func boundMessages(s *corev1.PodStatus) {
	all := len(s.InitContainerStatuses) + len(s.ContainerStatuses)
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for i := range list {
			for _, t := range []*corev1.ContainerStateTerminated{list[i].State.Terminated, list[i].LastTerminationState.Terminated} {
				if t != nil && len(t.Message) > maxMessages/all {
					t.Message = t.Message[:maxMessages/all]
				}
			}
		}
	}
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
