package worldstore

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// encoded is the object of an event, which many watchers are sent: each form of it is made once. Nobody sets anything of it.
type encoded struct {
	metav1.Object
	object runtime.Object

	mu    sync.Mutex
	forms map[runtime.Identifier]*form
}

type form struct {
	once sync.Once
	data []byte
	err  error
}

var _ runtime.CacheableObject = (*encoded)(nil)

func newEncoded(object runtime.Object) (*encoded, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, fmt.Errorf("an object to watch: %w", err)
	}
	return &encoded{Object: accessor, object: object, forms: map[runtime.Identifier]*form{}}, nil
}

// CacheEncode writes the object in one form.
func (e *encoded) CacheEncode(id runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer) error {
	e.mu.Lock()
	f := e.forms[id]
	if f == nil {
		f = &form{}
		e.forms[id] = f
	}
	e.mu.Unlock()
	f.once.Do(func() {
		var b bytes.Buffer
		f.err = encode(e.GetObject(), &b)
		f.data = b.Bytes()
	})
	if f.err != nil {
		return f.err
	}
	if s, ok := w.(runtime.Splice); ok {
		s.Splice(f.data)
		return nil
	}
	_, err := w.Write(f.data)
	return err
}

// GetObject is a copy, which encoders may change.
func (e *encoded) GetObject() runtime.Object { return e.object.DeepCopyObject() }

// GetObjectKind is that of the object.
func (e *encoded) GetObjectKind() schema.ObjectKind { return e.object.GetObjectKind() }

// DeepCopyObject is one with nothing encoded yet.
func (e *encoded) DeepCopyObject() runtime.Object {
	copied, err := newEncoded(e.GetObject())
	if err != nil {
		panic(err) // it had an accessor
	}
	return copied
}
