package reconcile

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// Variables and parts of volumes (subPath) of a container are what a ConfigMap or Secret held when the container
// started. So that a commit is one unit, their content is part of the template: another content is another template,
// which the owner rolls to as to every other. A template names the content by copies, made when the first Pod of it
// can be (pinned.go), so that its Pods are given the same for as long as they live, and going back to the content is
// going back to the template.

// configured is the template of a Deployment, StatefulSet or DaemonSet with the content that it reads: what has to be
// compared with the templates that the owner made before, and what Pods are made of. The template that comes in stays
// as it is; it comes back itself if it reads nothing, or its author does not want a rollout for it.
func (d *draft) configured(owner *state.Record, t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	return pinnedTemplate(t, d.pinsFor(d.w, owner, t))
}

// pinnedTemplate is a template with pins in place of those that it has.
func pinnedTemplate(t *corev1.PodTemplateSpec, pins state.Pins) *corev1.PodTemplateSpec {
	text := pins.String()
	if t.Annotations[state.PinnedConfigAnnotation] == text {
		return t
	}
	next := *t
	next.Annotations = withPins(t.Annotations, text)
	return &next
}

// withPins are annotations with the text of pins, or without one if it is empty.
func withPins(annotations map[string]string, text string) map[string]string {
	annotations = maps.Clone(annotations)
	if text == "" {
		delete(annotations, state.PinnedConfigAnnotation)
		return annotations
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[state.PinnedConfigAnnotation] = text
	return annotations
}

// followsConfig says that Pods of a template are replaced when what they read once is another.
func followsConfig(owner manifest.Object, t *corev1.PodTemplateSpec) bool {
	return owner.GetAnnotations()[manifest.RestartOnConfigChange] != "false" && t.Annotations[manifest.RestartOnConfigChange] != "false"
}

// pinsFor are the copies of what a template reads in a World, by the names of those that are there already.
func (d *draft) pinsFor(w *state.World, owner *state.Record, t *corev1.PodTemplateSpec) state.Pins {
	if !followsConfig(owner.Object, t) {
		return nil
	}
	read := configReads(&t.Spec)
	if len(read) == 0 {
		return nil
	}
	pins := state.Pins{}
	for of, keys := range read {
		pins[of] = d.copyName(owner, of, keys, contentOf(w, owner.Ref.Namespace, of, keys))
	}
	return pins
}

// content is what is read of a ConfigMap or Secret; nil if there is no such object.
type content struct {
	text   map[string]string
	binary map[string][]byte
}

func contentOf(w *state.World, namespace string, of manifest.Ref, keys *keysRead) *content {
	of.Namespace = namespace
	r := w.Get(of)
	if r == nil {
		return nil
	}
	return contentIn(r.Object, keys)
}

// contentIn is what the keys of an object hold. Text that an author wrote into a Secret beats bytes, as it does when
// it is read.
func contentIn(o manifest.Object, keys *keysRead) *content {
	switch o := o.(type) {
	case *corev1.ConfigMap:
		return &content{chosen(o.Data, keys), chosen(o.BinaryData, keys)}
	case *corev1.Secret:
		data := o.Data
		if len(o.StringData) > 0 {
			data = maps.Clone(data)
			if data == nil {
				data = map[string][]byte{}
			}
			for k, v := range o.StringData {
				data[k] = []byte(v)
			}
		}
		return &content{nil, chosen(data, keys)}
	}
	return nil
}

func chosen[T any](data map[string]T, keys *keysRead) map[string]T {
	if keys.all {
		return data
	}
	some := map[string]T{}
	for k := range keys.keys {
		if v, ok := data[k]; ok {
			some[k] = v
		}
	}
	return some
}

func (c *content) equal(o *content) bool {
	return maps.Equal(c.text, o.text) && maps.EqualFunc(c.binary, o.binary, bytes.Equal)
}

// copyName is the name of the copy of what an owner reads of an object: that of a copy that is there, found by what it
// holds, or of one that is to be made. It is empty if there is nothing to copy.
func (d *draft) copyName(owner *state.Record, of manifest.Ref, keys *keysRead, c *content) string {
	if c == nil {
		return ""
	}
	for r := range d.w.Owned(owner.UID) {
		if r.Ref.Kind == of.Kind && copyOf(r, of.Name, keys.String()) && c.equal(contentIn(r.Object, &keysRead{all: true})) {
			return r.Ref.Name
		}
	}
	for n := 0; ; n++ {
		ref := manifest.Ref{Kind: of.Kind, Namespace: owner.Ref.Namespace, Name: copiedName(of.Name, d.options.digest(owner.Ref, of, keys, c, n))}
		r := d.w.Get(ref)
		if r == nil || copyOf(r, of.Name, keys.String()) && c.equal(contentIn(r.Object, &keysRead{all: true})) {
			return ref.Name
		}
	}
}

// digest names content: an HMAC, since a plain one would let short secrets be guessed from the template that shows it.
func (o *Options) digest(owner, of manifest.Ref, keys *keysRead, c *content, n int) string {
	h := hmac.New(sha256.New, o.ConfigKey)
	for _, s := range []string{owner.Kind, owner.Name, of.Kind, of.Name, keys.String(), strconv.Itoa(n)} {
		field(h, s)
	}
	for _, k := range slices.Sorted(maps.Keys(c.text)) {
		field(h, "text")
		field(h, k)
		field(h, c.text[k])
	}
	for _, k := range slices.Sorted(maps.Keys(c.binary)) {
		field(h, "binary")
		field(h, k)
		field(h, string(c.binary[k]))
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:10]))
}

// field adds a text with its length, so that no two lists of texts give the same bytes.
func field(h hash.Hash, s string) {
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(s)))
	_, _ = h.Write(size[:])
	_, _ = h.Write([]byte(s))
}

func copiedName(of, digest string) string {
	const longest = 253
	if room := longest - 1 - len(digest); len(of) > room {
		of = of[:room]
	}
	return strings.TrimRight(of, ".-") + "-" + digest
}

// copyOf says that a record is a copy of the keys of an object of that name.
func copyOf(r *state.Record, name, keys string) bool {
	a := r.Object.GetAnnotations()
	return state.PinnedCopy(r) && a[pinnedFrom] == name && a[pinnedKeys] == keys
}

// configEdges are the ConfigMaps and Secrets whose change concerns an owner, and the copies that are named by what is
// made from a template.
func configEdges(r *state.Record) (refs []manifest.Ref) {
	if r == nil {
		return nil
	}
	switch r.Ref.Kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		t := manifest.Template(r.Object)
		if t == nil || !followsConfig(r.Object, t) {
			return nil
		}
		for of := range configReads(&t.Spec) {
			of.Namespace = r.Ref.Namespace
			refs = append(refs, of)
		}
		return refs
	}
	return namedCopies(r)
}

// namedCopies are the copies that a Pod, or what holds a template, names.
func namedCopies(r *state.Record) []manifest.Ref {
	if r == nil {
		return nil
	}
	annotations := r.Object.GetAnnotations()
	if r.Ref.Kind == "ReplicaSet" {
		if t := manifest.Template(r.Object); t != nil {
			annotations = t.Annotations
		}
	}
	return state.PinsOf(annotations).Copies(r.Ref.Namespace)
}
