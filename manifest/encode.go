package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// wire is an upstream type's own protobuf code, which sorts the keys of maps.
type wire interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// Encode writes an object compactly: protobuf for Kubernetes' own kinds, JSON for all others. Equal
// objects give equal bytes. The bytes do not tell which kind they are.
func Encode(obj Object) ([]byte, error) {
	var data []byte
	var err error
	if w, ok := obj.(wire); ok {
		data, err = w.Marshal()
	} else {
		data, err = json.Marshal(obj)
	}
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", RefOf(obj), err)
	}
	return data, nil
}

// Decode reads what Encode wrote of an object of the given kind. The object shares no memory with data.
func Decode(gk schema.GroupKind, data []byte) (Object, error) {
	obj, ok := New(gk)
	if !ok {
		return decodeCustom(gk, data)
	}
	w, ok := obj.(wire)
	if !ok {
		return nil, fmt.Errorf("decode %s: the type has no protobuf form", gk)
	}
	if err := w.Unmarshal(bytes.Clone(data)); err != nil {
		return nil, fmt.Errorf("decode %s: %w", gk, err)
	}
	return obj, nil
}

func decodeCustom(gk schema.GroupKind, data []byte) (Object, error) {
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("decode %s: %w", gk, err)
	}
	if got := obj.GroupVersionKind().GroupKind(); got != gk {
		return nil, fmt.Errorf("decode %s: found %s", gk, got)
	}
	return obj, nil
}
