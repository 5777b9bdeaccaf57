package helm

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
	release "helm.sh/helm/v4/pkg/release/v1"

	"writ/render/tree"
)

// Annotations by which objects are put in order and made again; package manifest and reconcile act on
// the first two.
const (
	dependsOn         = "config.kubernetes.io/depends-on"
	onImmutableChange = "writ.dev/on-immutable-change"
	releaseDigest     = "writ.dev/release-digest"
)

// hook is what an object's annotations say about when Helm applies it.
type hook struct {
	events []release.HookEvent
	weight int
}

// hookOf reads the annotations of an object, nil if it is none.
func hookOf(annotations *yaml.Node) *hook {
	events := tree.Text(annotations, release.HookAnnotation)
	if events == "" {
		return nil
	}
	h := &hook{}
	for event := range strings.SplitSeq(events, ",") {
		h.events = append(h.events, release.HookEvent(strings.ToLower(strings.TrimSpace(event))))
	}
	h.weight, _ = strconv.Atoi(tree.Text(annotations, release.HookWeightAnnotation)) // as Helm, 0 if it is no number
	return h
}

func (h *hook) on(events ...release.HookEvent) bool {
	return slices.ContainsFunc(events, func(e release.HookEvent) bool { return slices.Contains(h.events, e) })
}

// phase is when an object's turn is.
type phase int

const (
	before phase = iota
	among
	after
	never // tests, and what belongs to commands that there are not
)

func (o *object) phase() phase {
	switch {
	case o.hook == nil:
		return among
	case o.hook.on(release.HookPreInstall):
		return before
	case o.hook.on(release.HookPostInstall):
		return after
	case o.hook.on(release.HookPreUpgrade):
		return before
	case o.hook.on(release.HookPostUpgrade):
		return after
	}
	return never
}

// runners are the kinds whose pods can be made to wait, with their groups.
var runners = map[string]string{
	"Pod": "", "Job": "batch", "Deployment": "apps", "ReplicaSet": "apps", "StatefulSet": "apps", "DaemonSet": "apps",
}

func (o *object) runs() bool {
	group, known := runners[o.kind]
	return known && o.name != "" && (o.group == group || o.group == "extensions")
}

// ends tells whether the object is of a kind that comes to an end, which is what others wait for.
func (o *object) ends() bool { return o.runs() && (o.kind == "Job" || o.kind == "Pod") }

// reference names the object as the annotation depends-on does.
func (o *object) reference() string {
	return fmt.Sprintf("%s/namespaces/%s/%s/%s", runners[o.kind], o.namespace, o.kind, o.name)
}

// ordered makes ordinary objects of hooks, and lets pods wait for each other where Helm would: hooks
// one after the other by weight and name, those before anything else, or when all the rest runs. What
// has no pods is there at once, and so before whatever could need it.
func (b *build) ordered(objects []object) []object {
	var phases [never + 1][]object
	for _, o := range objects {
		p := o.phase()
		phases[p] = append(phases[p], o)
		if p == never {
			b.skipped(&o)
		}
	}
	digest := digestOf(objects)
	first := b.chain(phases[before], nil, digest)
	var rest []string
	for i := range phases[among] {
		o := &phases[among][i]
		if o.runs() {
			rest = append(rest, o.reference())
			b.wait(o, first)
		}
	}
	if len(rest) == 0 {
		rest = first
	}
	b.chain(phases[after], rest, digest)
	return slices.Concat(phases[before], phases[among], phases[after])
}

// chain lets hooks wait for each other; it returns what comes to an end last.
func (b *build) chain(hooks []object, waitsFor []string, digest string) []string {
	slices.SortStableFunc(hooks, func(a, b object) int {
		return cmp.Or(cmp.Compare(a.hook.weight, b.hook.weight), strings.Compare(a.name, b.name))
	})
	for i := range hooks {
		o := &hooks[i]
		if !o.hook.on(release.HookPreInstall, release.HookPostInstall) {
			b.warn(o.path, o.line, "%s %s is a hook for upgrades only; it is part of the first installation too", o.kind, o.name)
		}
		if !o.runs() {
			continue
		}
		b.wait(o, waitsFor)
		b.again(o, digest)
		if o.ends() {
			waitsFor = []string{o.reference()}
		} else {
			b.warn(o.path, o.line, "%s %s is a hook and does not end; what comes after it does not wait for it", o.kind, o.name)
		}
	}
	return waitsFor
}

// wait makes an object wait for others, beside those that its author names.
func (b *build) wait(o *object, waitsFor []string) {
	if len(waitsFor) == 0 {
		return
	}
	all := waitsFor
	if own := tree.Text(annotationsOf(o.node.Content[0]), dependsOn); own != "" {
		all = append([]string{own}, all...)
	}
	b.annotate(o, o.node.Content[0], dependsOn, strings.Join(all, ","))
}

// again makes a hook that is for upgrades run for each version of the release, as Helm runs it for each
// upgrade: its template differs then, and the Job is made new. Any hook that is changed is made new.
func (b *build) again(o *object, digest string) {
	top := o.node.Content[0]
	if tree.Text(annotationsOf(top), onImmutableChange) == "" {
		b.annotate(o, top, onImmutableChange, "recreate")
	}
	template := tree.Field(tree.Field(top, "spec"), "template")
	if o.kind == "Job" && template != nil && o.hook.on(release.HookPreUpgrade, release.HookPostUpgrade) {
		b.annotate(o, template, releaseDigest, digest)
	}
}

// digestOf tells versions of a release apart, by what is rendered.
func digestOf(objects []object) string {
	h := sha256.New()
	for _, o := range objects {
		fmt.Fprintf(h, "%d %s", len(o.text), o.text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// skipped tells of hooks that are left out though their author may count on them.
func (b *build) skipped(o *object) {
	known := []release.HookEvent{release.HookTest, "test-success", "test-failure", release.HookPreDelete, release.HookPostDelete, release.HookPreRollback, release.HookPostRollback}
	for _, event := range o.hook.events {
		if !slices.Contains(known, event) {
			b.warn(o.path, o.line, "%s %s: there is no hook %q; the object is left out", o.kind, o.name, event)
			return
		}
	}
}

func annotationsOf(node *yaml.Node) *yaml.Node {
	return tree.Field(tree.Field(node, "metadata"), "annotations")
}

// annotate sets an annotation in the metadata of an object or of a pod template, and writes the
// document anew.
func (b *build) annotate(o *object, node *yaml.Node, key, value string) {
	at := mapping(mapping(node, "metadata"), "annotations")
	if at == nil {
		return // manifest tells what is wrong with such an object
	}
	if old := tree.Field(at, key); old != nil {
		*old = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	} else {
		at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value})
	}
	text, err := yaml.Marshal(o.node)
	if err != nil {
		b.mistake(o.path, o.line, "%s %s: %v", o.kind, o.name, err)
		return
	}
	o.text = string(text)
}

// mapping is the value of a key, made if it is not there or null; nil if it is something else.
func mapping(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	value := tree.Field(node, key)
	switch {
	case value == nil:
		value = &yaml.Node{Kind: yaml.MappingNode}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
		*value = yaml.Node{Kind: yaml.MappingNode}
	case value.Kind == yaml.AliasNode:
		*value = yaml.Node{Kind: value.Alias.Kind, Content: slices.Clone(value.Alias.Content)}
	}
	if value.Kind != yaml.MappingNode {
		return nil
	}
	return value
}
