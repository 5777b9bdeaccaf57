package manifest

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
)

// checkUID and checkVersion stand in, on copies that are thrown away, for what an API server would
// have set before it applies the rules.
const (
	checkUID     = "00000000-0000-0000-0000-000000000001"
	checkVersion = "1"
)

// problem is something that upstream's rules say about a field. The path may be empty.
type problem struct{ path, what string }

// Default returns a deep copy of obj with upstream's defaults filled in, in the stored version's
// canonical form (the one an API server would store, without what it sets by itself). Kinds that are
// not Kubernetes' own are only copied. Default of a defaulted object is equal to it.
func Default(obj Object) Object {
	k := kindOf(obj)
	if k == nil {
		return obj.DeepCopyObject().(Object)
	}
	made, err := k.canonical(obj.DeepCopyObject())
	if err != nil {
		panic("manifest: default " + RefOf(obj).String() + ": " + err.Error()) // obj is not of the kind's Go type
	}
	return made
}

// canonical defaults obj, which it may modify and whose memory the result shares, and converts it to
// the stored version by way of the internal one.
func (k *kind) canonical(obj runtime.Object) (Object, error) {
	k.scheme.Default(obj)
	if k.complete != nil {
		k.complete(obj)
	}
	internal, err := k.internal(obj)
	if err != nil {
		return nil, err
	}
	made, err := k.scheme.UnsafeConvertToVersion(internal, k.gvk.GroupVersion())
	if err != nil {
		return nil, err
	}
	made.GetObjectKind().SetGroupVersionKind(k.gvk)
	return made.(Object), nil
}

// internal converts to upstream's internal type. The result may share memory with obj.
func (k *kind) internal(obj runtime.Object) (runtime.Object, error) {
	gv := k.gvk.GroupVersion()
	gv.Version = runtime.APIVersionInternal
	return k.scheme.UnsafeConvertToVersion(obj, gv)
}

// checked is an internal deep copy of obj with the fields that a server sets before it applies rules.
func (k *kind) checked(obj Object) (runtime.Object, error) {
	internal, err := k.internal(obj.DeepCopyObject())
	if err != nil {
		return nil, err
	}
	m := internal.(metav1.Object)
	m.SetUID(checkUID)
	m.SetResourceVersion(checkVersion)
	k.rules.prepare(internal)
	return internal, nil
}

// Validate tells, in upstream's words, what is wrong with a defaulted object that is to be created.
// Nil means nothing. Kinds that are not Kubernetes' own have only their metadata checked.
func Validate(obj Object) []string {
	problems, _ := check(kindOf(obj), obj, false)
	return texts(problems)
}

// check applies the rules for a new object: what is wrong, and what upstream warns of. When the object
// is secret, no value is repeated.
func check(k *kind, obj Object, secret bool) (problems, warnings []problem) {
	problemsOf := problemsOf
	if secret || k != nil && k.gvk.Group == "" && k.gvk.Kind == "Secret" {
		problemsOf = secretProblemsOf
	}
	if k == nil {
		return problemsOf(checkMeta(obj, obj.GetNamespace() != "")), nil
	}
	internal, err := k.checked(obj)
	if err != nil {
		return []problem{{what: err.Error()}}, nil
	}
	errs := k.rules.validate(internal)
	if len(errs) == 0 {
		errs = checkMeta(internal.(metav1.Object), k.namespaced)
	}
	if len(errs) > 0 {
		return problemsOf(errs), nil
	}
	for _, w := range k.rules.warnings(internal) {
		warnings = append(warnings, warningOf(w))
	}
	return nil, warnings
}

// checkMeta is what an API server checks of every kind after the kind's own rules.
func checkMeta(m metav1.Object, namespaced bool) field.ErrorList {
	segment := func(name string, prefix bool) []string {
		if prefix {
			return path.IsValidPathSegmentPrefix(name)
		}
		return path.IsValidPathSegmentName(name)
	}
	return apivalidation.ValidateObjectMetaAccessor(m, namespaced, segment, field.NewPath("metadata"))
}

// ValidateUpdate tells, in upstream's words, why the defaulted object now cannot take the place of
// old: fields that must not change, and everything that is wrong with it by itself. Both have the
// same identity. Kinds that are not Kubernetes' own may change in every way.
func ValidateUpdate(old, now Object) []string {
	k := kindOf(now)
	if k == nil {
		return Validate(now)
	}
	before, err := k.checked(old)
	if err != nil {
		return []string{err.Error()}
	}
	after, err := k.checked(now)
	if err != nil {
		return []string{err.Error()}
	}
	k.rules.prepareUpdate(after, before)
	errs := k.rules.validateUpdate(after, before)
	pinpoint(errs, old, now)
	return texts(problemsOf(errs))
}

// problemsOf sorts errors by field and drops repetitions.
func problemsOf(errs field.ErrorList) []problem {
	problems := make([]problem, len(errs))
	for i, e := range errs {
		if unwieldy(e) {
			e = &field.Error{Type: e.Type, Field: e.Field, BadValue: field.OmitValueType{}, Detail: e.Detail}
		}
		problems[i] = problem{path: e.Field, what: e.ErrorBody()}
		if e.Field == "<nil>" {
			problems[i].path = ""
		}
	}
	slices.SortStableFunc(problems, func(a, b problem) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.what, b.what))
	})
	return slices.Compact(problems)
}

// unwieldy says that a wrong value is one of Go's own objects, which does not print as its author wrote it, or long.
func unwieldy(e *field.Error) bool {
	v := reflect.ValueOf(e.BadValue)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct: // a quantity is one that prints as text
		text, err := json.Marshal(e.BadValue)
		return err != nil || text[0] == '{'
	case reflect.Map, reflect.Slice:
		return len(e.ErrorBody()) > 200+len(e.Detail)
	}
	return false
}

// secretProblemsOf is problemsOf without the wrong values, and without what a parser said about one.
func secretProblemsOf(errs field.ErrorList) []problem {
	quiet := make(field.ErrorList, len(errs))
	for i, e := range errs {
		q := *e
		q.BadValue = field.OmitValueType{}
		if e.BadValue == "<secret contents redacted>" {
			q.Detail = "is not what the type of the Secret asks for"
		}
		quiet[i] = &q
	}
	return problemsOf(quiet)
}

// warningOf splits upstream's "path: text".
func warningOf(text string) problem {
	before, after, found := strings.Cut(text, ": ")
	if !found || strings.ContainsRune(before, ' ') {
		return problem{what: text}
	}
	return problem{path: before, what: after}
}

// String is the problem as upstream writes it.
func (p problem) String() string {
	if p.path == "" {
		return p.what
	}
	return p.path + ": " + p.what
}

func texts(problems []problem) []string {
	if len(problems) == 0 {
		return nil
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.String()
	}
	return lines
}
