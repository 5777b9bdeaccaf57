package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"
)

// take decodes, defaults and checks an object whose head is read and adds it to the file.
func (o *object) take(k *kind, h *head) {
	defer o.survive()
	if o.veil == nil && h.isSecret() {
		o.veil = secretVeil(h)
	}
	o.identify(k, h)
	if what := o.veil.misuse(o.ref); what != "" {
		o.mistake(problem{"metadata.namespace", what})
	}
	warnings, mistakes := h.clean()
	for _, p := range warnings {
		o.warn(p)
	}
	for _, p := range mistakes {
		o.mistake(p)
	}
	data, err := h.encode()
	if err != nil {
		o.mistake(problem{what: err.Error()})
		return
	}
	made := o.decode(k, h, data)
	if made == nil {
		o.failed = true // also where that is the fault of a stand-in, which nobody is told
		return
	}
	made.SetNamespace(o.ref.Namespace)
	old := k != nil && k.isOld(h.gvk)
	problems, hints := check(k, made, o.veil != nil)
	for _, p := range problems {
		if old {
			p.what += fmt.Sprintf(" (converted from %s to %s)", h.gvk.GroupVersion(), k.gvk.GroupVersion())
		}
		if p.path != "metadata.name" || o.ref.Name != "" {
			o.mistake(p)
		}
	}
	for _, p := range hints {
		o.warn(p)
	}
	if old {
		o.warnOld(k, h, made)
	}
	if o.failed {
		o.flaws(made, problems)
		return
	}
	o.add(k, made)
}

// flaws reports what is wrong with an object by itself beside what the rules say, so that nobody corrects the one
// only to learn of the other.
func (o *object) flaws(made Object, told []problem) {
	p := &parsed{Item: Item{Ref: o.ref, Object: made}}
	p.pods = podsOf(p)
	for _, n := range needsOf(p) {
		switch {
		case n.ref != (Ref{}), slices.ContainsFunc(told, func(p problem) bool { return p.path == n.field }):
		case n.hint:
			o.warn(problem{n.field, n.why})
		default:
			o.mistake(problem{n.field, n.why})
		}
	}
}

// identify completes the object's Ref: the namespace that is meant when none is written.
func (o *object) identify(k *kind, h *head) {
	if k != nil {
		o.ref.Group = k.gvk.Group
	}
	switch {
	case k == nil:
	case k.namespaced && o.ref.Namespace == "":
		o.ref.Namespace = cmp.Or(o.home, "default")
	case !k.namespaced && o.ref.Namespace != "":
		o.ref.Namespace = ""
		delete(h.meta, "namespace")
		o.mistake(problem{"metadata.namespace", k.gvk.Kind + " is cluster-wide, its objects are in no namespace; remove it"})
	}
	if o.ref.Name == "" && h.meta["generateName"] == nil {
		o.mistake(problem{"metadata.name", "is missing"})
	}
}

// survive turns a panic of upstream's code on hostile content into a mistake: a commit must not stop
// the daemon.
func (o *object) survive() {
	if cause := recover(); cause != nil {
		o.mistake(problem{what: fmt.Sprintf("cannot be checked: %v", cause)})
	}
}

// decode makes an object of the stored version with every default filled in, or nil after reporting
// why it cannot.
func (o *object) decode(k *kind, h *head, data []byte) Object {
	switch {
	case k == nil:
		return o.decodeCustom(data)
	case oldAutoscaler(h.gvk):
		return o.decodeOldAutoscaler(k, h, data)
	}
	written := o.decodeWritten(k, h, data)
	switch {
	case written == nil:
		return nil
	case k.isOld(h.gvk):
		return o.convertOld(k, h, written, data)
	}
	made, err := k.canonical(written)
	if err != nil {
		o.mistake(problem{what: err.Error()})
		return nil
	}
	return made
}

// decodeWritten makes the object in the version that it is written in, or nil after reporting why not.
func (o *object) decodeWritten(k *kind, h *head, data []byte) runtime.Object {
	written, err := k.scheme.New(h.gvk)
	if err != nil {
		o.mistake(problem{"apiVersion", err.Error()})
		return nil
	}
	if !o.decodeStrict(data, written) {
		return nil
	}
	return written
}

// decodeStrict reports unknown fields and goes on, and reports every wrong type.
func (o *object) decodeStrict(data []byte, into any) bool {
	strict, err := kjson.UnmarshalStrict(data, into, kjson.DisallowUnknownFields)
	for _, p := range strictProblems(strict) {
		o.misplaced(p)
	}
	if err == nil {
		return true
	}
	var value any
	if decodeNumbers(data, &value) != nil {
		o.mistake(problem{what: err.Error()})
		return false
	}
	wrong, unknown := typeProblems(value, reflect.TypeOf(into), o.veil != nil)
	for _, p := range wrong {
		o.mistake(p)
	}
	for _, p := range unknown {
		o.misplaced(p)
	}
	if len(wrong) == 0 {
		o.mistake(problem{what: strings.TrimPrefix(err.Error(), "json: ")})
	}
	return false
}

// decodeNumbers decodes JSON as it is written: numbers become json.Number, never float64.
func decodeNumbers(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// misplaced reports a problem whose text already names the field.
func (o *object) misplaced(p problem) {
	o.failed = true
	o.report(o.ref, func() int { return o.line(p.path) }, p.what)
}

func (o *object) decodeCustom(data []byte) Object {
	made := &unstructured.Unstructured{}
	if err := made.UnmarshalJSON(data); err != nil {
		o.mistake(problem{what: err.Error()})
		return nil
	}
	return made
}

// add puts a valid object into the file.
func (o *object) add(k *kind, made Object) {
	uses := NotYet(made)
	for i := range uses {
		uses[i].Line = o.line(uses[i].Path)
	}
	item := Item{Ref: o.ref, Object: made, Source: Source{o.path, o.line("")}, NotYet: uses}
	p, err := o.parsed(item)
	if err == nil && k == nil && o.ref.Namespace == "" {
		atHome := made.DeepCopyObject().(Object)
		atHome.SetNamespace(cmp.Or(o.home, "default"))
		item.Ref.Namespace, item.Object = atHome.GetNamespace(), atHome
		p.local, err = o.parsed(item)
	}
	if err != nil {
		o.mistake(problem{what: err.Error()})
		return
	}
	o.objects = append(o.objects, p)
}

func (o *object) parsed(item Item) (*parsed, error) {
	p, err := newParsed(item, o.within)
	if p != nil && o.secret && item.Ref.GroupKind() != SecretRef("", "").GroupKind() {
		p.veil = o.veil // what only the whole commit shows never repeats what a Secret holds
	}
	return p, err
}

func newParsed(item Item, within string) (*parsed, error) {
	digest, err := digestItem(item.Object)
	p := &parsed{Item: item, digest: digest, within: within}
	p.claim = claimOf(p)
	p.pods = podsOf(p)
	p.needs = needsOf(p)
	p.depends = dependsOf(item.Object)
	return p, err
}
