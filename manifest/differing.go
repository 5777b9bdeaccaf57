package manifest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// mostDiffering is how many paths one mistake names.
const mostDiffering = 5

// pinpoint tells of a field that must not change, and whose value is too large to show, in which of the fields below it
// two objects differ.
func pinpoint(errs field.ErrorList, old, now Object) {
	for i, e := range errs {
		if !unwieldy(e) || !strings.HasSuffix(e.Detail, "immutable") {
			continue
		}
		paths := differing(e.Field, fieldAt(old, e.Field), fieldAt(now, e.Field))
		if len(paths) == 0 {
			continue
		}
		if more := len(paths) - mostDiffering; more > 0 {
			paths = append(paths[:mostDiffering:mostDiffering], fmt.Sprintf("and %d more", more))
		}
		errs[i] = &field.Error{Type: e.Type, Field: e.Field, BadValue: field.OmitValueType{}, Detail: e.Detail + "; it differs in " + strings.Join(paths, ", ")}
	}
}

// fieldAt is the value of a field as it is written, nil if it is not there; of a path with indexes too.
func fieldAt(o Object, path string) any {
	written, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil
	}
	var value any = written
	for step := range strings.SplitSeq(path, ".") {
		inside, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = inside[step]
	}
	return value
}

// differing is the paths at and below one at which two values differ, in order. Lists of different lengths differ whole.
func differing(path string, a, b any) (paths []string) {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			break
		}
		keys := maps.Clone(a)
		maps.Copy(keys, b)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			below := path + "." + key
			if strings.ContainsAny(key, "./") {
				below = path + "[" + key + "]"
			}
			paths = append(paths, differing(below, a[key], b[key])...)
		}
		return paths
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			paths = append(paths, differing(path+"["+strconv.Itoa(i)+"]", a[i], b[i])...)
		}
		return paths
	}
	if reflect.DeepEqual(a, b) {
		return nil
	}
	return []string{path}
}
