package schedule

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/storage/volume"
	corev1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"

	"writ/manifest"
	"writ/state"
)

// Upstream's words for what keeps a Pod with claims off a node.
const (
	noVolume    = "node(s) didn't find available persistent volumes to bind"
	wrongVolume = "node(s) didn't match PersistentVolume's node affinity"
	volumeInUse = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
)

// storage is what placement knows of claims, volumes and classes.
type storage struct {
	claims  map[manifest.Ref]*state.Record
	volumes map[string]*held
	free    []*corev1.PersistentVolume // those that claims may get, by name
	classes map[string]*storagev1.StorageClass
	users   map[manifest.Ref]int // how many Pods on nodes have a claim
}

// held is a volume as placement compares it, with the node that has its files.
type held struct {
	*corev1.PersistentVolume
	on state.Node
}

func newStorage(w *state.World) storage {
	s := storage{claims: map[manifest.Ref]*state.Record{}, volumes: map[string]*held{}, classes: map[string]*storagev1.StorageClass{}, users: map[manifest.Ref]int{}}
	for r := range w.List("", "PersistentVolumeClaim", "") {
		s.setClaim(r.Ref, r)
	}
	for r := range w.List("", "PersistentVolume", "") {
		s.setVolume(r.Ref.Name, r)
	}
	for r := range w.List("storage.k8s.io", "StorageClass", "") {
		s.setClass(r.Ref.Name, r)
	}
	return s
}

func (s *storage) setClaim(ref manifest.Ref, r *state.Record) {
	delete(s.claims, ref)
	if r != nil && r.Claim() != nil {
		s.claims[ref] = r
	}
}

// setVolume keeps a volume with the facts that upstream's rules look at.
func (s *storage) setVolume(name string, r *state.Record) {
	delete(s.volumes, name)
	at, was := slices.BinarySearchFunc(s.free, name, func(v *corev1.PersistentVolume, name string) int { return strings.Compare(v.Name, name) })
	if was {
		s.free = slices.Delete(s.free, at, at+1)
	}
	if r == nil || r.Volume() == nil {
		return
	}
	v := *r.Volume()
	s.volumes[name] = &held{PersistentVolume: &v, on: r.Node}
	if a := r.Allocation; a != nil && a.Claim != nil {
		v.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: a.Claim.Namespace, Name: a.Claim.Name, UID: a.Claim.UID}
		v.Status.Phase = corev1.VolumeBound
		return
	}
	v.Status.Phase = corev1.VolumeAvailable
	if r.Deletion == nil && len(manifest.NotYet(&v)) == 0 {
		s.free = slices.Insert(s.free, at, &v)
	}
}

func (s *storage) setClass(name string, r *state.Record) {
	delete(s.classes, name)
	if r == nil {
		return
	}
	if c, ok := r.Object.(*storagev1.StorageClass); ok {
		s.classes[name] = c
	}
}

// claimsOf are the claims of a Pod, nil for most.
func claimsOf(pod *corev1.Pod) (refs []manifest.Ref) {
	for name := range manifest.PodClaims(pod) {
		refs = append(refs, manifest.ClaimRef(pod.Namespace, name))
	}
	return refs
}

// use counts the claims of a Pod on a node.
func (s *storage) use(refs []manifest.Ref, sign int) {
	for _, ref := range refs {
		if s.users[ref] += sign; s.users[ref] == 0 {
			delete(s.users, ref)
		}
	}
}

// wants is what the claims of a Pod ask of a node.
type wants struct {
	in      *storage
	why     string  // no node helps
	taken   bool    // by a Pod that has a claim for itself
	bound   []*held // volumes that it has
	waiting []*corev1.PersistentVolumeClaim
}

// wantsOf works out what a Pod asks, nil for one without claims.
func (s *storage) wantsOf(pod *corev1.Pod, refs []manifest.Ref) *wants {
	if len(refs) == 0 {
		return nil
	}
	w := &wants{in: s}
	for _, ref := range refs {
		if w.why = w.add(pod, ref); w.why != "" {
			return w
		}
	}
	size := func(c *corev1.PersistentVolumeClaim) int64 {
		q := c.Spec.Resources.Requests[corev1.ResourceStorage]
		return q.Value()
	}
	slices.SortStableFunc(w.waiting, func(a, b *corev1.PersistentVolumeClaim) int { return int(min(max(size(a)-size(b), -1), 1)) })
	return w
}

// add looks at one claim, and says why no node helps.
func (w *wants) add(pod *corev1.Pod, ref manifest.Ref) (why string) {
	r := w.in.claims[ref]
	if r == nil {
		if forPod(pod, ref.Name) {
			return fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", ref.Name)
		}
		return fmt.Sprintf("persistentvolumeclaim %q not found", ref.Name)
	}
	if r.Deletion != nil {
		return fmt.Sprintf("persistentvolumeclaim %q is being deleted", ref.Name)
	}
	if o := metav1.GetControllerOfNoCopy(r.Object); forPod(pod, ref.Name) && (o == nil || o.Kind != "Pod" || o.Name != pod.Name) {
		return fmt.Sprintf("PVC %s/%s was not created for pod %s/%s (pod is not owner)", ref.Namespace, ref.Name, pod.Namespace, pod.Name)
	}
	c := r.Claim()
	w.taken = w.taken || slices.Contains(c.Spec.AccessModes, corev1.ReadWriteOncePod) && w.in.users[ref] > 0
	if a := r.Allocation; a != nil && a.Volume != "" {
		v := w.in.volumes[a.Volume]
		if v == nil || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != r.UID {
			return fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", ref.Name, a.Volume)
		}
		w.bound = append(w.bound, v)
		return ""
	}
	if uses := manifest.NotYet(c); len(uses) > 0 {
		return fmt.Sprintf("persistentvolumeclaim %q is not bound: %s: %s", ref.Name, uses[0].Path, uses[0].Reason)
	}
	if !w.in.Delayed(c) || c.Spec.VolumeName != "" {
		return "pod has unbound immediate PersistentVolumeClaims"
	}
	w.waiting = append(w.waiting, identified(r))
	return ""
}

// forPod says that a claim is to be made for the Pod alone.
func forPod(pod *corev1.Pod, claim string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Ephemeral != nil && pod.Name+"-"+v.Name == claim
	})
}

// identified is a claim with its UID, by which volumes name it.
func identified(r *state.Record) *corev1.PersistentVolumeClaim {
	c := *r.Claim()
	c.UID = r.UID
	return &c
}

// Delayed says that a claim is bound when its first Pod is placed.
func (s *storage) Delayed(c *corev1.PersistentVolumeClaim) bool {
	class := s.classes[volume.GetPersistentVolumeClaimClass(c)]
	return class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// refuses gives the words why a node does not do, empty if it does.
func (w *wants) refuses(n *node) string {
	if w == nil {
		return ""
	}
	if w.taken {
		return volumeInUse
	}
	for _, v := range w.bound {
		if !v.reaches(n) {
			return wrongVolume
		}
	}
	if _, ok := w.match(n); !ok {
		return noVolume
	}
	return ""
}

// reaches says that a node can mount a volume. Files that a node made are there, whatever its labels say.
func (v *held) reaches(n *node) bool {
	if v.on != "" {
		return string(v.on) == n.name
	}
	return n.object == nil || volume.CheckNodeAffinity(v.PersistentVolume, n.object.Labels) == nil
}

// Binding is what a claim gets when its first Pod is placed. Without a Volume, one is to be made by the class's provisioner.
type Binding struct {
	Claim  manifest.Ref
	Volume string
}

// match finds volumes for the claims that wait, the smallest claim first, as upstream.
func (w *wants) match(n *node) (all []Binding, ok bool) {
	if len(w.waiting) == 0 {
		return nil, true
	}
	given := map[string]*corev1.PersistentVolume{}
	for _, c := range w.waiting {
		b := Binding{Claim: manifest.ClaimRef(c.Namespace, c.Name)}
		v, err := volume.FindMatchingVolume(c, w.in.free, n.object, given, false, true)
		switch {
		case err != nil:
			return nil, false
		case v != nil:
			b.Volume, given[v.Name] = v.Name, v
		case w.in.Provisions(c) != nil || !w.in.Allows(c, n.object):
			return nil, false
		}
		all = append(all, b)
	}
	return all, true
}

// Provisions is nil if the nodes can make a volume for a claim, else why not.
func (s *storage) Provisions(c *corev1.PersistentVolumeClaim) error {
	name := volume.GetPersistentVolumeClaimClass(c)
	class := s.classes[name]
	switch {
	case class == nil:
		return fmt.Errorf("storageclass.storage.k8s.io %q not found", name)
	case class.Provisioner != state.LocalProvisioner:
		return fmt.Errorf("no provisioner %s", class.Provisioner)
	case len(manifest.NotYet(class)) > 0:
		use := manifest.NotYet(class)[0]
		return fmt.Errorf("failed to provision volume with StorageClass %q: %s: %s", name, use.Path, use.Reason)
	case c.Spec.Selector != nil:
		return fmt.Errorf("failed to provision volume with StorageClass %q: claim Selector is not supported", name)
	}
	return nil
}

// Allows says that the class of a claim lets volumes be on a node.
func (s *storage) Allows(c *corev1.PersistentVolumeClaim, n *corev1.Node) bool {
	class := s.Class(c)
	return class == nil || n == nil || corev1helper.MatchTopologySelectorTerms(class.AllowedTopologies, labels.Set(n.Labels))
}

// Class is the class of a claim, nil if there is none.
func (s *storage) Class(c *corev1.PersistentVolumeClaim) *storagev1.StorageClass {
	return s.classes[volume.GetPersistentVolumeClaimClass(c)]
}

// Match is the volume that a claim is bound to without waiting for a Pod, empty if there is none: of those
// with the fewest access modes the smallest, as upstream.
func (s *storage) Match(claim *state.Record) string {
	c := identified(claim)
	groups := map[int][]*corev1.PersistentVolume{}
	for _, v := range s.free {
		if volume.CheckAccessModes(c, v) {
			groups[len(v.Spec.AccessModes)] = append(groups[len(v.Spec.AccessModes)], v)
		}
	}
	for _, modes := range slices.Sorted(maps.Keys(groups)) {
		if v, err := volume.FindMatchingVolume(c, groups[modes], nil, nil, s.Delayed(c), true); err == nil && v != nil {
			return v.Name
		}
	}
	return ""
}

// Bindings is what the claims of a Pod get on the node that Place gave.
func (x *Index) Bindings(pod *corev1.Pod, to state.Node) []Binding {
	w, n := x.storage.wantsOf(pod, x.needOf(pod).claims), x.byName[string(to)]
	if w == nil || n == nil {
		return nil
	}
	all, _ := w.match(n)
	return all
}

// Mismatch is why a claim that names its volume cannot have it, in upstream's words; empty if it can. Whether
// another claim has it is left aside.
func Mismatch(claim, of *state.Record) string {
	c, v := identified(claim), of.Volume()
	size, asked := v.Spec.Capacity[corev1.ResourceStorage], c.Spec.Resources.Requests[corev1.ResourceStorage]
	switch {
	case of.Deletion != nil:
		return fmt.Sprintf("the volume is marked for deletion %q", v.Name)
	case v.Spec.ClaimRef != nil && !volume.IsVolumeBoundToClaim(v, c):
		return "the volume is reserved for a different claim"
	case size.Value() < asked.Value():
		return "requested PV is too small"
	case volume.GetPersistentVolumeClass(v) != volume.GetPersistentVolumeClaimClass(c):
		return "storageClassName does not match"
	case volume.CheckVolumeModeMismatches(&c.Spec, &v.Spec):
		return "incompatible volumeMode"
	case !volume.CheckAccessModes(c, v):
		return "incompatible accessMode"
	}
	return ""
}
