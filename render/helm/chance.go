package helm

import (
	"strings"
	"text/template"
	"time"
)

// chance is what templates call for the time and for randomness, in two editions that differ in
// everything. Neither is ever seen: what came out of them would differ, and is refused. Functions that
// make keys and salted digests need no edition, as two of theirs are never the same.
func chance(edition int) template.FuncMap {
	instant := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	letter, id, phrase := "a", "00000000-0000-4000-8000-000000000000", "1h"
	if edition == 1 {
		instant = time.Date(2032, 11, 28, 17, 48, 59, 8, time.FixedZone("", 5400))
		letter, id, phrase = "b", "ffffffff-ffff-4fff-bfff-ffffffffffff", "2h"
	}
	text := func(count int) string { return strings.Repeat(letter, min(max(count, 0), maxRendered)) }
	return template.FuncMap{
		"now":          func() time.Time { return instant },
		"ago":          func(any) string { return phrase },
		"uuidv4":       func() string { return id },
		"randAlpha":    text,
		"randAlphaNum": text,
		"randAscii":    text,
		"randBytes":    text,
		"randNumeric":  func(count int) string { return strings.Map(func(r rune) rune { return r - 'a' + '1' }, text(count)) },
		"randInt": func(low, high int) int {
			if edition == 1 {
				return max(low, high-1)
			}
			return low
		},
		"shuffle": func(s string) string {
			if edition == 0 {
				return s
			}
			letters := []rune(s)
			for i, j := 0, len(letters)-1; i < j; i, j = i+1, j-1 {
				letters[i], letters[j] = letters[j], letters[i]
			}
			return string(letters)
		},
	}
}
