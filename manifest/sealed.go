package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
)

// Sealed is a Decrypter without keys, for checks: what is not encrypted is read, and a stand-in takes the
// place of every value that is. What would be wrong about a stand-in is not told.
type Sealed struct{}

// standIn begins every stand-in. It is base64 of text, so that it passes as a value that is text and as one
// that is base64; what follows it differs where the encrypted values differ, so that a change is seen.
const standIn = "dW5rbm93bjog"

func standInFor(encrypted string) string {
	sum := sha256.Sum256([]byte(encrypted))
	return standIn + base64.StdEncoding.EncodeToString(sum[:6])
}

// KeysID never changes.
func (Sealed) KeysID() string { return "sealed" }

var cipherText = regexp.MustCompile(`ENC\[AES256_GCM,[^\]]*\]`)

// Decrypt never fails: what cannot be made sense of becomes one stand-in.
func (Sealed) Decrypt(e Encrypted) (Clear, error) {
	clear := Clear{Text: []byte(standInFor(string(e.Data))), Secrecy: Secrecy{Unknown: true}}
	switch e.Format {
	case "yaml":
		var texts [][]byte
		for _, c := range splitYAML(e.Data) {
			data, _ := toJSON(c.text)
			texts = append(texts, unseal(data))
		}
		clear.Text = bytes.Join(texts, []byte("\n---\n"))
	case "json":
		clear.Text = unseal(e.Data)
	case "dotenv":
		clear.Text = unsealLines(e.Data, func(line string) bool { return strings.HasPrefix(line, "sops_") })
	case "ini":
		inside := false
		clear.Text = unsealLines(e.Data, func(line string) bool {
			if strings.HasPrefix(line, "[") {
				inside = strings.HasPrefix(line, "[sops]")
			}
			return inside
		})
	}
	return clear, nil
}

// unseal puts stand-ins into a JSON object.
func unseal(data []byte) []byte {
	var fields map[string]any
	if decodeNumbers(data, &fields) != nil {
		return []byte(standInFor(string(data)))
	}
	delete(fields, "sops")
	made, err := json.Marshal(replaceCipherText(fields))
	if err != nil {
		return []byte(standInFor(string(data)))
	}
	return made
}

func replaceCipherText(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = replaceCipherText(v[key])
		}
	case []any:
		for i := range v {
			v[i] = replaceCipherText(v[i])
		}
	case string:
		if cipherText.MatchString(v) {
			return standInFor(v)
		}
	}
	return value
}

// unsealLines puts stand-ins into a file of lines without those that are SOPS' own.
func unsealLines(data []byte, own func(line string) bool) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(data)) {
		if !own(line) {
			b.WriteString(cipherText.ReplaceAllStringFunc(line, standInFor))
		}
	}
	return b.Bytes()
}

// Guessed tells whether a text about the object is about a stand-in of Sealed.
func (i Item) Guessed(text string) bool {
	return i.veil != nil && i.veil.Unknown && strings.Contains(text, standIn)
}

// unknown tells whether the value at a field of the object was encrypted and nobody has the key.
func (o *object) unknown(field string) bool {
	if o.veil == nil || !o.veil.Unknown {
		return false
	}
	return holds(o.clear.node(o.within+"."+o.written(o.clear, field)), standIn)
}
