package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// head is what is read of an object before its kind is known.
type head struct {
	gvk    schema.GroupVersionKind
	ref    Ref // the namespace as written
	fields map[string]json.RawMessage
	meta   map[string]json.RawMessage
	local  bool // meant for tools on the author's machine
}

// readHead reads what every object has. The problems are about apiVersion, kind and metadata only.
func readHead(data []byte) (*head, []problem) {
	h := &head{}
	if err := json.Unmarshal(data, &h.fields); err != nil || h.fields == nil {
		var value any
		_ = json.Unmarshal(data, &value)
		return nil, []problem{{what: fmt.Sprintf("is not an object: a mapping with apiVersion, kind and metadata is expected, found %s", describe(value))}}
	}
	var problems []problem
	text := func(from map[string]json.RawMessage, path, key string, required bool) (s string) {
		raw, found := from[key]
		if found && json.Unmarshal(raw, &s) != nil {
			problems = append(problems, problem{path + key, "must be a string, found " + string(raw[:min(len(raw), 40)])})
		} else if required && s == "" {
			problems = append(problems, problem{path + key, "is missing"})
		}
		return s
	}
	version := text(h.fields, "", "apiVersion", true)
	kindName := text(h.fields, "", "kind", true)
	if raw, found := h.fields["metadata"]; found && json.Unmarshal(raw, &h.meta) != nil {
		problems = append(problems, problem{"metadata", "must be a mapping"})
	}
	gv, err := schema.ParseGroupVersion(version)
	if err != nil {
		problems = append(problems, problem{"apiVersion", fmt.Sprintf("%q is not of the form group/version", version)})
	}
	h.gvk = gv.WithKind(kindName)
	problems = append(problems, checkNames(h.gvk)...)
	h.ref = Ref{Group: gv.Group, Kind: kindName}
	h.ref.Name = text(h.meta, "metadata.", "name", false)
	h.ref.Namespace = text(h.meta, "metadata.", "namespace", false)
	var annotations map[string]any
	_ = json.Unmarshal(h.meta["annotations"], &annotations)
	h.local = annotations["config.kubernetes.io/local-config"] == "true"
	if len(problems) > 0 && version == "" && kindName == "" {
		problems = []problem{{what: "is not a Kubernetes object: apiVersion and kind are missing (list files that are not manifests in .writignore)"}}
	}
	return h, problems
}

// Fields that the cluster sets. Those of the first group are dropped with a warning, those of the
// second are mistakes: what they ask for would not happen.
var (
	droppedMeta = []string{"uid", "resourceVersion", "generation", "managedFields", "creationTimestamp", "selfLink"}
	refusedMeta = []string{"finalizers", "ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"}
)

// clean removes what the cluster sets from the fields.
func (h *head) clean() (warnings, mistakes []problem) {
	if _, found := h.fields["status"]; found {
		delete(h.fields, "status")
		warnings = append(warnings, problem{"status", "is set by the cluster and was dropped"})
	}
	for _, key := range droppedMeta {
		if _, found := h.meta[key]; found {
			delete(h.meta, key)
			warnings = append(warnings, problem{"metadata." + key, "is set by the cluster and was dropped"})
		}
	}
	for _, key := range refusedMeta {
		raw, found := h.meta[key]
		if !found {
			continue
		}
		delete(h.meta, key)
		if !slices.Contains([]string{"null", "[]", `""`}, string(raw)) {
			mistakes = append(mistakes, problem{"metadata." + key, refusal(key)})
		} else {
			warnings = append(warnings, problem{"metadata." + key, "is empty and was dropped"})
		}
	}
	return warnings, mistakes
}

func refusal(key string) string {
	if key == "generateName" {
		return "cannot be used in a repository; give the object a name (metadata.name)"
	}
	return "is managed by the cluster and cannot be declared; remove it"
}

// encode writes the fields, as cleaned, as JSON.
func (h *head) encode() ([]byte, error) {
	if h.meta != nil {
		raw, err := json.Marshal(h.meta)
		if err != nil {
			return nil, err
		}
		h.fields["metadata"] = raw
	}
	return json.Marshal(h.fields)
}

// items are the elements of a List, and whether it is one. Elements of a list of one kind need not
// repeat it.
func (h *head) items() ([]json.RawMessage, bool, error) {
	element, found := strings.CutSuffix(h.gvk.Kind, "List")
	raw, has := h.fields["items"]
	if !found || !has && element != "" || element == "" && h.gvk.Group != "" {
		return nil, false, nil
	}
	if element != "" && storedKind(h.gvk.GroupVersion().WithKind(element)) == nil {
		return nil, false, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); has && err != nil {
		return nil, true, fmt.Errorf("must be a list")
	}
	if element != "" {
		for i := range items {
			items[i] = h.implied(items[i], element)
		}
	}
	return items, true, nil
}

// implied fills in the apiVersion and kind of an element of a list of one kind.
func (h *head) implied(item json.RawMessage, element string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(item, &fields) != nil || fields == nil || fields["kind"] != nil {
		return item
	}
	version, _ := json.Marshal(h.gvk.GroupVersion().String())
	name, _ := json.Marshal(element)
	fields["apiVersion"], fields["kind"] = version, name
	made, err := json.Marshal(fields)
	if err != nil {
		return item
	}
	return made
}
