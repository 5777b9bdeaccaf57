package manifest

import (
	"cmp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is an API object: a pointer to one of the upstream types of k8s.io/api in the version that
// Writ stores the kind in (*appsv1.Deployment), or *unstructured.Unstructured for kinds of a
// CustomResourceDefinition. An Object that was handed out is never modified; deep-copy first.
type Object interface {
	runtime.Object
	metav1.Object
}

// Item is one object of a commit with where it was written.
type Item struct {
	Ref    Ref
	Object Object
	Source Source
	// NotYet is the fields that stop the object, each with its line in Source.Path.
	NotYet []FieldUse

	veil *veil // over values that the object was decrypted with, nil for plain text
}

// Hide takes values that were encrypted in the repository out of texts about the object.
func (i Item) Hide(texts []string) []string {
	if i.veil == nil {
		return texts
	}
	hidden := make([]string, len(texts))
	for n, text := range texts {
		hidden[n] = i.veil.hide(text)
	}
	return hidden
}

// Source is a place in the repository: a slash-separated path from its root and the
// line, counted from 1, on which the object or field begins. Line 0 means the whole file.
type Source struct {
	Path string `json:"path"`
	Line int    `json:"line,omitempty"`
}

// String is path:line.
func (s Source) String() string {
	if s.Line == 0 {
		return s.Path
	}
	return s.Path + ":" + strconv.Itoa(s.Line)
}

func (s Source) compare(o Source) int {
	return cmp.Or(strings.Compare(s.Path, o.Path), cmp.Compare(s.Line, o.Line))
}
