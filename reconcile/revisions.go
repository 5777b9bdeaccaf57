package reconcile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"writ/manifest"
	"writ/state"
)

// A StatefulSet and a DaemonSet keep every template that they had as a ControllerRevision, which they own. It holds
// the template as upstream writes it, so that every client can read the history; which revision belongs to a template
// is found by what it holds, never by its name.

// versions is the history of an owner's template, in the making of a Plan.
type versions struct {
	d        *draft
	owner    *state.Record
	template *corev1.PodTemplateSpec
	selector *metav1.LabelSelector
	// label carries the hash, which makes the name; hash is upstream's of the kind.
	label string
	hash  func(data []byte, collisions int32) string
}

// list is the history by number, oldest first. What nobody owns and the selector matches belongs to it.
func (v *versions) list() []*state.Record {
	var list []*state.Record
	for r := range v.d.w.Owned(v.owner.UID) {
		if revisionIn(r) != nil {
			list = append(list, r)
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(v.selector)
	if err != nil {
		selector = labels.Nothing()
	}
	for r := range v.d.w.Select("apps", "ControllerRevision", v.owner.Ref.Namespace, selector) {
		if r.Origin == state.Derived && metav1.GetControllerOfNoCopy(r.Object) == nil && strings.HasPrefix(r.Ref.Name, v.owner.Ref.Name+"-") {
			list = append(list, v.adopt(r))
		}
	}
	slices.SortFunc(list, func(a, b *state.Record) int {
		return cmp.Or(cmp.Compare(revisionIn(a).Revision, revisionIn(b).Revision), a.Created.Compare(b.Created), strings.Compare(a.Ref.Name, b.Ref.Name))
	})
	return list
}

// adopt takes on a revision that was left behind by an owner of the same name.
func (v *versions) adopt(r *state.Record) *state.Record {
	c := *revisionIn(r)
	c.OwnerReferences = append(slices.Clip(c.OwnerReferences), controllerRef(v.owner))
	return v.put(r.Ref, &c, "adopted by "+v.owner.Ref.String())
}

func (v *versions) put(ref manifest.Ref, c *appsv1.ControllerRevision, why string) *state.Record {
	v.d.put(state.Put{Ref: ref, Object: c, Origin: state.Derived, Why: why})
	return v.d.w.Get(ref)
}

// templateKey is a template as it is in a Plan: that of an object, with what it reads.
type templateKey struct {
	object manifest.Object
	pins   string
}

// data is the template as a revision holds it. It takes time, so it is made once in a Plan.
func (v *versions) data() ([]byte, error) {
	key := templateKey{v.owner.Object, v.template.Annotations[state.PinnedConfigAnnotation]}
	if data, ok := v.d.stored[key]; ok {
		return data, nil
	}
	data, err := revisionData(v.template)
	if err != nil {
		return nil, err
	}
	if v.d.stored == nil {
		v.d.stored = map[templateKey][]byte{}
	}
	v.d.stored[key] = data
	return data, nil
}

// find is the latest revision that holds the template, nil if none does.
func (v *versions) find(list []*state.Record) (*state.Record, error) {
	data, err := v.data()
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Backward(list) {
		if bytes.Equal(revisionIn(r).Data.Raw, data) {
			return r, nil
		}
	}
	for _, r := range slices.Backward(list) { // after an upgrade that defaults more fields
		if t, err := revisionTemplate(revisionIn(r)); err == nil && equality.Semantic.DeepEqual(t, v.template) {
			return r, nil
		}
	}
	return nil, nil
}

// latest is the revision of the template with the highest number of all: the one that holds it, or a new one.
// collisions counts the names that other templates have taken; what it is by then comes back.
func (v *versions) latest(list []*state.Record, collisions int32) (*state.Record, int32, error) {
	number := int64(1)
	if n := len(list); n > 0 {
		number = revisionIn(list[n-1]).Revision + 1
	}
	found, err := v.find(list)
	if err != nil {
		return nil, collisions, err
	}
	if found != nil {
		if found == list[len(list)-1] {
			return found, collisions, nil
		}
		c := *revisionIn(found)
		c.Revision = number
		return v.put(found.Ref, &c, "gone back to"), collisions, nil
	}
	data, err := v.data()
	if err != nil {
		return nil, collisions, err
	}
	for {
		hash := v.hash(data, collisions)
		ref := manifest.RevisionRef(v.owner.Ref.Namespace, revisionName(v.owner.Ref.Name, hash))
		if v.d.w.Get(ref) == nil {
			v.d.pin(v.d.w, v.owner, v.template)
			return v.put(ref, v.make(ref, hash, data, number), "new template"), collisions, nil
		}
		collisions++
	}
}

func (v *versions) make(ref manifest.Ref, hash string, data []byte, number int64) *appsv1.ControllerRevision {
	annotations := maps.Clone(v.owner.Object.GetAnnotations())
	if cause := v.d.cause(v.owner.Commit); annotations[changeCauseAnnotation] == "" && cause != "" {
		annotations = withLabel(annotations, changeCauseAnnotation, cause)
	}
	annotations = withPins(annotations, v.template.Annotations[state.PinnedConfigAnnotation])
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ref.Namespace, Name: ref.Name, Labels: withLabel(v.template.Labels, v.label, hash), Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{controllerRef(v.owner)},
		},
		Data: runtime.RawExtension{Raw: data}, Revision: number,
	}
}

// truncate removes the oldest of the old revisions that no Pod is of, so that no more than limit are left: of those, or
// of all. label is that of a revision's Pods. It is done with the status, when all is known of what happened to Pods.
func (v *versions) truncate(old []*state.Record, limit int, all bool, label func(*state.Record) string) {
	if len(old) <= limit {
		return
	}
	live := map[string]bool{}
	for p := range v.d.w.Owned(v.owner.UID) {
		if p.Ref.Kind == "Pod" {
			live[revisionLabel(p)] = true
		}
	}
	unused := slices.DeleteFunc(slices.Clone(old), func(r *state.Record) bool { return live[label(r)] })
	excess := len(unused) - limit
	if all {
		excess = min(len(old)-limit, len(unused))
	}
	for i := range excess {
		v.d.delete(unused[i], "beyond revisionHistoryLimit")
	}
}

// revisionIn is the ControllerRevision of a record, nil if it is another kind.
func revisionIn(r *state.Record) *appsv1.ControllerRevision {
	if r == nil {
		return nil
	}
	c, _ := r.Object.(*appsv1.ControllerRevision)
	return c
}

// revisionName is upstream's name of a revision.
func revisionName(owner, hash string) string { return owner[:min(len(owner), 223)] + "-" + hash }

// revisionHash is upstream's hash of a StatefulSet's revision.
func revisionHash(data []byte, collisions int32) string {
	h := fnv.New32()
	_, _ = h.Write(data)
	_, _ = h.Write([]byte(strconv.Itoa(int(collisions))))
	return utilrand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// revisionData is a template as upstream keeps it: a patch that puts it in the place of another, keys sorted.
func revisionData(t *corev1.PodTemplateSpec) ([]byte, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode template: %w", err)
	}
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, fmt.Errorf("encode template: %w", err)
	}
	fields["$patch"] = "replace"
	return json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
}

// revisionTemplate is the template that a revision holds, with every default that there is by now.
func revisionTemplate(c *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var patch struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(c.Data.Raw, &patch); err != nil {
		return nil, fmt.Errorf("read revision %s: %w", c.Name, err)
	}
	set := &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Template: patch.Spec.Template}}
	return &defaulted(set).(*appsv1.ReplicaSet).Spec.Template, nil
}

// revisions is where a ControllerRevision goes with its owner.
func (d *draft) revisions(r *state.Record) {
	if c := metav1.GetControllerOfNoCopy(r.Object); r.Origin == state.Derived && c != nil && controller(d.w, r) == nil {
		d.delete(r, "its owner is gone")
	}
}
