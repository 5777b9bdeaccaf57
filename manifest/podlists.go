package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Annotations by which the author of what owns Pods says what becomes of single ones of them.
const (
	// QuarantineAnnotation names Pods, separated by commas, that their owner lets go: they run on beside it.
	QuarantineAnnotation = "writ.dev/quarantine"
	// ReplacePodsAnnotation names Pods, separated by commas, or is AllPods: each is deleted once if it was there
	// when the value was adopted, so that its owner makes another.
	ReplacePodsAnnotation = "writ.dev/replace-pods"
	// OnDeleteAnnotation says what becomes of what an object made once its file is gone: Orphan leaves it behind,
	// Delete (which is the default) takes it along.
	OnDeleteAnnotation = "writ.dev/on-delete"
)

// AllPods is every Pod of an owner, as a value of ReplacePodsAnnotation.
const AllPods = "*"

// Delete is a value of OnDeleteAnnotation.
const Delete = "delete"

// PodList are the Pods that an annotation of an owner names, in its order, each once. A comment behind # says nothing,
// but makes the value another one. No annotation is no name; the error says what is wrong with the value.
func PodList(o Object, annotation string) (names []string, err error) {
	value, said := o.GetAnnotations()[annotation]
	if !said {
		return nil, nil
	}
	value, _, _ = strings.Cut(value, "#")
	if strings.TrimSpace(value) == "" {
		return nil, errors.New("names no pod; remove the annotation")
	}
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == AllPods && annotation == QuarantineAnnotation:
			return nil, fmt.Errorf("%q: pods are let go one by one; name each", AllPods)
		case name == AllPods && strings.Contains(value, ","):
			return nil, fmt.Errorf("%q is every pod; it stands alone", AllPods)
		case name != AllPods && len(validation.IsDNS1123Subdomain(name)) > 0:
			return nil, fmt.Errorf("%q is not the name of a pod; names are separated by commas", name)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Orphans says that what an object made is to outlive it.
func Orphans(o Object) bool { return o.GetAnnotations()[OnDeleteAnnotation] == Orphan }

// ownsPods says that objects of a kind make Pods themselves or through one other object.
func ownsPods(ref Ref) bool {
	switch ref.GroupKind().String() {
	case "Deployment.apps", "ReplicaSet.apps", "StatefulSet.apps", "DaemonSet.apps", "Job.batch", "ReplicationController":
		return true
	}
	return false
}

// podListFlaws adds lists of Pods and policies that mean nothing.
func (n *needs) podListFlaws(p *parsed) {
	annotations := p.Object.GetAnnotations()
	for _, key := range []string{QuarantineAnnotation, ReplacePodsAnnotation} {
		if _, said := annotations[key]; !said {
			continue
		}
		if !ownsPods(p.Ref) {
			n.flaw(annotation(key), "a "+p.Ref.Kind+" has no pods of its own")
		} else if _, err := PodList(p.Object, key); err != nil {
			n.flaw(annotation(key), err.Error())
		}
	}
	how, said := annotations[OnDeleteAnnotation]
	switch field := annotation(OnDeleteAnnotation); {
	case !said:
	case !ownsPods(p.Ref) && p.Ref.GroupKind().String() != "CronJob.batch":
		n.flaw(field, "a "+p.Ref.Kind+" makes nothing that could be left behind")
	case how != Orphan && how != Delete:
		n.flaw(field, fmt.Sprintf("%q must be %s or %s", how, Orphan, Delete))
	}
}
