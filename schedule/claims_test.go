package schedule

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/state"
)

// stock is a World of two nodes with claims, volumes and classes, made record by record.
type stock struct{ *Index }

func (s stock) set(r *state.Record) {
	s.Update([]state.Change{{Ref: r.Ref, New: r}})
}

func newStock() stock {
	s := stock{indexOf(nodeRecord("here", nil), nodeRecord("there", nil))}
	waits, once := storagev1.VolumeBindingWaitForFirstConsumer, storagev1.VolumeBindingImmediate
	for name, c := range map[string]storagev1.StorageClass{
		"local":  {Provisioner: state.LocalProvisioner, VolumeBindingMode: &waits},
		"manual": {Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &waits},
		"once":   {Provisioner: state.LocalProvisioner, VolumeBindingMode: &once},
		"there": {Provisioner: state.LocalProvisioner, VolumeBindingMode: &waits, AllowedTopologies: []corev1.TopologySelectorTerm{
			{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: corev1.LabelHostname, Values: []string{"there"}}}}}},
	} {
		c.Name = name
		s.set(&state.Record{Ref: manifest.StorageClassRef(name), Origin: state.Authored, Object: &c})
	}
	return s
}

// claim puts a claim; volume is what it is bound to.
func (s stock) claim(name, class, volume string, change func(*corev1.PersistentVolumeClaim, *state.Record)) {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	r := &state.Record{Ref: manifest.ClaimRef("default", name), UID: types.UID(name), Origin: state.Authored, Object: c}
	if volume != "" {
		r.Allocation = &state.Allocation{Volume: volume}
	}
	if change != nil {
		change(c, r)
	}
	s.set(r)
}

// volume puts a volume that only one node reaches; claim is who has it.
func (s stock) volume(name, class, on, claim string) {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		StorageClassName: class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")},
		PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/x"}},
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{on}}}}}}},
	}}
	r := &state.Record{Ref: manifest.VolumeRef(name), Origin: state.Authored, Object: v}
	if claim != "" {
		r.Allocation = &state.Allocation{Claim: &state.Claimed{Namespace: "default", Name: claim, UID: types.UID(claim)}}
	}
	s.set(r)
}

func mounting(name string, claims ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	for _, c := range claims {
		v := corev1.Volume{Name: c, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c}}}
		if own, ok := strings.CutPrefix(c, "own:"); ok {
			v.Name, v.VolumeSource = own, corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}
		}
		p.Spec.Volumes = append(p.Spec.Volumes, v)
	}
	return p
}

// TestPlace_Claims: every reason why a Pod with claims has no node, in upstream's words, and where it goes else.
func TestPlace_Claims(t *testing.T) {
	const none = "0/2 nodes are available: "
	const noMatch = none + "2 node(s) didn't find available persistent volumes to bind."
	s := newStock()
	s.volume("away", "manual", "there", "")
	s.volume("nowhere", "", "nobody", "lost-way")
	s.volume("taken", "", "here", "kept")
	s.volume("mine", "", "there", "bound")
	s.claim("bound", "", "mine", nil)
	s.claim("kept", "", "taken", nil)
	s.claim("lost-way", "", "nowhere", nil)
	s.claim("lost", "", "gone", nil)
	s.claim("misbound", "", "taken", nil)
	s.claim("unbound", "", "", nil)
	s.claim("immediate", "once", "", nil)
	s.claim("first", "local", "", nil)
	s.claim("only-there", "there", "", nil)
	s.claim("manual", "manual", "", nil)
	s.claim("large", "manual", "", func(c *corev1.PersistentVolumeClaim, _ *state.Record) {
		c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("3Gi")
	})
	s.claim("going", "local", "", func(_ *corev1.PersistentVolumeClaim, r *state.Record) { r.Deletion = &state.Deletion{} })
	s.claim("block", "local", "", func(c *corev1.PersistentVolumeClaim, _ *state.Record) {
		mode := corev1.PersistentVolumeBlock
		c.Spec.VolumeMode = &mode
	})
	s.claim("asks", "local", "", func(c *corev1.PersistentVolumeClaim, _ *state.Record) { c.Spec.VolumeName = "x" })
	s.claim("p-foreign", "local", "", nil)
	s.claim("p-owned", "local", "", func(c *corev1.PersistentVolumeClaim, _ *state.Record) {
		yes := true
		c.OwnerReferences = []metav1.OwnerReference{{Kind: "Pod", Name: "p", Controller: &yes}}
	})
	for _, tt := range []struct {
		claims string
		to     string // or why not
	}{
		{"bound", "there"},
		{"kept", "here"},
		{"kept bound", none + "2 node(s) didn't match PersistentVolume's node affinity."},
		{"lost-way", none + "2 node(s) didn't match PersistentVolume's node affinity."},
		{"missing", none + `persistentvolumeclaim "missing" not found.`},
		{"own:v", none + `waiting for ephemeral volume controller to create the persistentvolumeclaim "p-v".`},
		{"own:foreign", none + "PVC default/p-foreign was not created for pod default/p (pod is not owner)."},
		{"own:owned", "here"},
		{"lost", none + `persistentvolumeclaim "lost" bound to non-existent persistentvolume "gone".`},
		{"misbound", none + `persistentvolumeclaim "misbound" bound to non-existent persistentvolume "taken".`},
		{"going", none + `persistentvolumeclaim "going" is being deleted.`},
		{"unbound", none + "pod has unbound immediate PersistentVolumeClaims."},
		{"immediate", none + "pod has unbound immediate PersistentVolumeClaims."},
		{"asks", none + "pod has unbound immediate PersistentVolumeClaims."},
		{"block", none + `persistentvolumeclaim "block" is not bound: spec.volumeMode: Block: a raw block volume is not supported yet.`},
		{"first", "here"},
		{"only-there", "there"},
		{"manual", "there"},
		{"large", noMatch},
		{"kept manual", none + "1 node(s) didn't find available persistent volumes to bind, 1 node(s) didn't match PersistentVolume's node affinity."},
	} {
		to, why := s.Place(mounting("p", strings.Fields(tt.claims)...))
		if got := string(to) + why; got != tt.to {
			t.Errorf("%s: got %q, want %q", tt.claims, got, tt.to)
		}
	}
}

// TestBindings: what claims that wait get on the node, the smallest claim first, no volume twice.
func TestBindings(t *testing.T) {
	s := newStock()
	s.volume("a", "local", "here", "")
	s.volume("b", "manual", "here", "")
	s.claim("one", "local", "", nil)
	s.claim("two", "local", "", func(c *corev1.PersistentVolumeClaim, _ *state.Record) {
		c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("512Mi")
	})
	s.claim("three", "manual", "", nil)
	got := ""
	for _, b := range s.Bindings(mounting("p", "one", "two", "three"), "here") {
		got += b.Claim.Name + "=" + b.Volume + " "
	}
	if want := "two=a one= three=b "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if b := s.Bindings(mounting("p"), "here"); b != nil {
		t.Errorf("a pod without claims gets %v", b)
	}
}

// TestPlace_OnePod: a claim that one Pod has for itself is free again when that Pod has ended, not before.
func TestPlace_OnePod(t *testing.T) {
	const inUse = "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod."
	s := newStock()
	s.claim("mine", "local", "", func(c *corev1.PersistentVolumeClaim, _ *state.Record) {
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	})
	holder := &state.Record{Ref: manifest.PodRef("default", "h"), UID: "h", Node: "there", Object: mounting("h", "mine")}
	expect := func(when, want string) {
		t.Helper()
		if to, why := s.Place(mounting("p", "mine")); string(to)+why != want {
			t.Errorf("%s: got %q, want %q", when, string(to)+why, want)
		}
	}
	expect("free", "here")
	s.Assume("h", holder.Pod(), "there")
	expect("assumed", inUse)
	s.set(holder)
	expect("bound", inUse)
	ended := *holder
	ended.Status = &corev1.PodStatus{Phase: corev1.PodSucceeded}
	s.Update([]state.Change{{Ref: holder.Ref, Old: holder, New: &ended}})
	expect("ended", "here")
	s.Update([]state.Change{{Ref: holder.Ref, Old: &ended, New: nil}})
	if len(s.users) != 0 {
		t.Errorf("users are left: %v", s.users)
	}
}
