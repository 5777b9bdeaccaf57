package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// SOPS encrypts whole files and leaves its metadata, with a checksum of all values, in each document.
// So documents with the same checksum were one file and are opened as one; a plain document beside them,
// or one that was encrypted by itself, is as good as a file of its own.

// part is a document of a file and what it says.
type part struct {
	chunk         // as it is written
	clear  []byte // the text itself, or what came out of it
	veil   *veil  // nil for what was not encrypted
	reason string // why it could not be opened
}

// parts cuts a file into its documents and opens those that are encrypted. Without a Decrypter they stay
// as they are. The error is ErrUnavailable.
func parts(d Decrypter, e Encrypted, chunks []chunk) ([]part, error) {
	all := make([]part, len(chunks))
	groups := make(map[string][]int) // of the documents with one checksum, in order
	var order []string
	for i, c := range chunks {
		all[i] = part{chunk: c, clear: c.text}
		if d == nil {
			continue
		}
		mac, encrypted := sopsOf(e.Format, c.text)
		if !encrypted {
			continue
		}
		if mac == "" || e.Format != "yaml" {
			mac = fmt.Sprint(i)
		}
		if groups[mac] == nil {
			order = append(order, mac)
		}
		groups[mac] = append(groups[mac], i)
	}
	for _, mac := range order {
		if err := openGroup(d, e, all, groups[mac]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// openGroup opens the documents of a file that were encrypted as one.
func openGroup(d Decrypter, e Encrypted, all []part, members []int) error {
	texts := make([][]byte, len(members))
	for i, m := range members {
		texts[i] = all[m].text
	}
	e.Data = bytes.Join(texts, []byte("\n---\n"))
	clear, err := d.Decrypt(e)
	if errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("read %s: %w", e.Path, err)
	}
	opened := [][]byte{clear.Text}
	if err == nil && e.Format == "yaml" {
		opened = nil
		for _, c := range splitYAML(clear.Text) {
			opened = append(opened, c.text)
		}
	}
	if err == nil && len(opened) != len(members) {
		err = fmt.Errorf("holds %d documents once it is decrypted and %d before", len(opened), len(members))
	}
	veil := newVeil(clear.Secrecy)
	for i, m := range members {
		if err != nil {
			all[m].reason = err.Error()
		} else {
			all[m].clear, all[m].veil = opened[i], veil
		}
	}
	return nil
}

// sopsOf tells whether a document carries SOPS' metadata, and its checksum.
func sopsOf(format string, text []byte) (mac string, encrypted bool) {
	if !bytes.Contains(text, []byte("sops")) {
		return "", false
	}
	if format == "yaml" && len(text) > maxDocumentBytes { // too large to be parsed in this process
		return "", sopsYAML.Match(text)
	}
	if format == "yaml" {
		text, _ = toJSON(text)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil || fields["sops"] == nil {
		return "", false
	}
	var metadata struct {
		MAC string `json:"mac"`
	}
	_ = json.Unmarshal(fields["sops"], &metadata)
	return metadata.MAC, true
}

// sopsFormat is how SOPS reads a file of that name. Where the name says nothing it is a whole file in JSON,
// unless the content shows that SOPS was told otherwise.
func sopsFormat(name string, data []byte) string {
	switch {
	case strings.HasSuffix(name, ".yaml"), strings.HasSuffix(name, ".yml"):
		return "yaml"
	case strings.HasSuffix(name, ".json"):
		return "json"
	case strings.HasSuffix(name, ".env"):
		return "dotenv"
	case strings.HasSuffix(name, ".ini"):
		return "ini"
	case sopsDotenv.Match(data):
		return "dotenv"
	case sopsINI.Match(data):
		return "ini"
	}
	if _, encrypted := sopsOf("json", data); encrypted {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(data, &fields)
		if fields["data"] == nil || len(fields) > 2 {
			return "json"
		}
	} else if slices.ContainsFunc(splitYAML(data), func(c chunk) bool { _, encrypted := sopsOf("yaml", c.text); return encrypted }) {
		return "yaml"
	}
	return "binary"
}

var (
	sopsDotenv = regexp.MustCompile(`(?m)^sops_mac=`)
	sopsYAML   = regexp.MustCompile(`(?m)^["']?sops["']?[ \t]*:`)
	sopsINI    = regexp.MustCompile(`(?m)^\[sops\]\s*$`)
)

// Open returns what a file says that reader, a kustomization, reads. The Secrecy is nil for a file that
// is not encrypted. Documents of YAML begin on the line on which they are written, as far as there is room.
func Open(d Decrypter, name, reader string, data []byte) ([]byte, *Secrecy, error) {
	if d == nil || !bytes.Contains(data, []byte("sops")) {
		return data, nil, nil
	}
	e := Encrypted{Path: name, Reader: reader, Format: sopsFormat(path.Base(name), data), Data: data}
	switch {
	case e.Format == "yaml":
		return openYAML(d, e)
	case e.Format == "dotenv" && !sopsDotenv.Match(data), e.Format == "ini" && !sopsINI.Match(data):
		return data, nil, nil
	case e.Format == "json", e.Format == "binary":
		if _, encrypted := sopsOf("json", data); !encrypted {
			return data, nil, nil
		}
	}
	clear, err := d.Decrypt(e)
	return clear.Text, &clear.Secrecy, err
}

func openYAML(d Decrypter, e Encrypted) ([]byte, *Secrecy, error) {
	all, err := parts(d, e, splitYAML(e.Data))
	if err != nil {
		return nil, nil, err
	}
	var text bytes.Buffer
	var secrecy *Secrecy
	added := make(map[*veil]bool) // documents that were opened as one have the same
	line := 1
	for _, p := range all {
		if p.reason != "" {
			return nil, nil, errors.New(p.reason)
		}
		if p.veil != nil && !added[p.veil] {
			if secrecy == nil {
				secrecy = &Secrecy{}
			}
			added[p.veil] = true
			secrecy.Add(p.veil.Secrecy)
		}
		for ; line < p.line; line++ {
			text.WriteByte('\n')
		}
		if line > 1 || bytes.HasPrefix(p.text, []byte("\n")) {
			text.WriteString("---\n")
		}
		if p.veil != nil {
			p.clear = bytes.TrimLeft(p.clear, "\n")
		}
		text.Write(bytes.TrimPrefix(p.clear, []byte("\n")))
		if !bytes.HasSuffix(text.Bytes(), []byte("\n")) {
			text.WriteByte('\n')
		}
		line = 1 + bytes.Count(text.Bytes(), []byte("\n"))
	}
	if secrecy == nil {
		return e.Data, nil, nil
	}
	return text.Bytes(), secrecy, nil
}
