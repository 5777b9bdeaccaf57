package manifest

import "testing"

// The text of a template may lead back to itself, where what is rendered of it does not.
func TestLocator_Circle(t *testing.T) {
	for path, want := range map[string]int{"spec[0].a": 1, "spec.a": 1, "spec[]": 2, "spec[].b": 3} {
		l := &locator{chunk: chunk{1, []byte("spec: &a\n  \"\": *a\n  b: 1\n")}}
		if got := l.line(path); got != want {
			t.Errorf("%s: line %d, want %d", path, got, want)
		}
	}
}
