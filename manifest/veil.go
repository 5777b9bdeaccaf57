package manifest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// notShown takes the place of a value in what is told to people.
const notShown = "(not shown)"

// shortValue is the length in bytes below which a value is hidden only where it stands alone: otherwise
// every "1" of a message would be hidden when a 1 was encrypted.
const shortValue = 4

// veil hides values in messages. It is immutable; nil hides nothing.
type veil struct {
	Secrecy
	forms []string // in which the values can appear in a message, the longest first
}

func newVeil(s Secrecy) *veil {
	v := &veil{Secrecy: s}
	for _, value := range s.Values {
		v.forms = appendForms(v.forms, value)
	}
	slices.SortFunc(v.forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	v.forms = slices.Compact(v.forms)
	return v
}

// appendForms adds a value as it is, quoted, in base64 and out of it, and line by line.
func appendForms(forms []string, value string) []string {
	quoted := func(text string) {
		if text = strings.TrimSpace(text); text == "" {
			return
		}
		forms = append(forms, text)
		if q := strings.Trim(strconv.Quote(text), `"`); q != text {
			forms = append(forms, q)
		}
		if j, err := json.Marshal(text); err == nil && string(j[1:len(j)-1]) != text {
			forms = append(forms, string(j[1:len(j)-1]))
		}
	}
	if value == "" {
		return forms
	}
	quoted(value)
	forms = append(forms, base64.StdEncoding.EncodeToString([]byte(value)))
	if inner, err := base64.StdEncoding.DecodeString(value); err == nil && utf8.Valid(inner) {
		quoted(string(inner))
	}
	if strings.Contains(value, "\n") {
		for line := range strings.SplitSeq(value, "\n") {
			if len(strings.TrimSpace(line)) >= shortValue {
				quoted(line)
			}
		}
	}
	return forms
}

// hide replaces every value in a text.
func (v *veil) hide(text string) string {
	if v == nil {
		return text
	}
	for _, form := range v.forms {
		if len(form) >= shortValue {
			text = strings.ReplaceAll(text, form, notShown)
		} else {
			text = replaceAlone(text, form)
		}
	}
	return text
}

// replaceAlone hides a short value where no letter, digit or underscore touches it.
func replaceAlone(text, form string) string {
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
	var b strings.Builder
	for {
		i := strings.Index(text, form)
		if i < 0 {
			return b.String() + text
		}
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(form):])
		alone := (i == 0 || !word(before)) && (i+len(form) == len(text) || !word(after))
		b.WriteString(text[:i])
		if alone {
			b.WriteString(notShown)
		} else {
			b.WriteString(form)
		}
		text = text[i+len(form):]
	}
}

// isSecret tells by its head whether an object's values are to be hidden, encrypted or not.
func (h *head) isSecret() bool { return h.gvk.Group == "" && h.gvk.Kind == "Secret" }

// secretVeil hides the values that a Secret holds.
func secretVeil(h *head) *veil {
	var s Secrecy
	for _, field := range []string{"data", "stringData"} {
		var value any
		if decodeNumbers(h.fields[field], &value) == nil {
			s.Values = appendLeaves(s.Values, value)
		}
	}
	return newVeil(s)
}

// appendLeaves adds the scalars of a decoded JSON value.
func appendLeaves(all []string, value any) []string {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			all = appendLeaves(all, inner)
		}
	case []any:
		for _, inner := range v {
			all = appendLeaves(all, inner)
		}
	case nil:
	default:
		all = append(all, fmt.Sprint(v))
	}
	return all
}

// misuse says why an object must not hold what came out of encrypted files, empty if it may.
func (v *veil) misuse(ref Ref) string {
	if v == nil {
		return ""
	}
	for _, use := range v.Uses {
		if slices.Contains(use.Namespaces, ref.Namespace) {
			continue
		}
		where := "is in namespace " + ref.Namespace
		if ref.Namespace == "" {
			where = "is in no namespace"
		}
		return fmt.Sprintf("%s, and was decrypted with %s, which the node's keys bind to %s", where, use.Key, namespacesText(use.Namespaces))
	}
	return ""
}

func namespacesText(names []string) string {
	if len(names) == 1 {
		return "namespace " + names[0]
	}
	return "namespaces " + strings.Join(names, ", ")
}

// over hides values in what was found elsewhere.
func (v *veil) over(mistakes Mistakes) Mistakes {
	if v == nil {
		return mistakes
	}
	hidden := slices.Clone(mistakes)
	for i := range hidden {
		hidden[i].What = v.hide(hidden[i].What)
	}
	return hidden
}
