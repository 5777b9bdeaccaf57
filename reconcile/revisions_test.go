package reconcile

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"writ/manifest"
	"writ/state"
)

// What Kubernetes 1.34 wrote of a template, and 1.33 before it (pkg/controller/statefulset/testdata).
const (
	upstreamData = `{"spec":{"template":{"$patch":"replace","metadata":{"annotations":{"test":"value"},"labels":{"app":"foo"}},"spec":{"containers":[{"image":"test","imagePullPolicy":"Always","name":"test","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File"}],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30}}}}`
	upstreamHash = "776999688b"
	olderHash    = "c77f6d978"
)

var olderData = strings.Replace(upstreamData, `"labels":{"app"`, `"creationTimestamp":null,"labels":{"app"`, 1)

func upstreamSet() *appsv1.StatefulSet {
	return manifest.Default(&appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "test"},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "foo"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"test": "value"}, Labels: map[string]string{"app": "foo"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "test", Image: "test"}}},
			},
		},
	}).(*appsv1.StatefulSet)
}

func TestRevisionData_IsUpstreams(t *testing.T) {
	data, err := revisionData(&upstreamSet().Spec.Template)
	if err != nil || string(data) != upstreamData {
		t.Errorf("got %s, %v\nwant %s", data, err, upstreamData)
	}
	if got := revisionHash(data, 0); got != upstreamHash {
		t.Errorf("hash %s, want %s", got, upstreamHash)
	}
	if got := revisionHash([]byte(olderData), 0); got != olderHash {
		t.Errorf("hash of the older form %s, want %s", got, olderHash)
	}
}

// revised puts a set with revisions of these contents and gives their history.
func revised(t *testing.T, set *appsv1.StatefulSet, contents ...string) *versions {
	t.Helper()
	ref := manifest.StatefulSetRef("default", set.Name)
	d := newDraft(state.NewWorld(uuid.Nil), state.NewWorld(uuid.Nil).Adopted().Adopted, Options{})
	d.adopt = &state.Adoption{Commit: "1"}
	d.put(state.Put{Ref: ref, Object: set, Origin: state.Authored})
	v := &versions{d: d, owner: d.w.Get(ref), template: &set.Spec.Template, selector: set.Spec.Selector, label: revisionHashLabel, hash: revisionHash}
	for i, data := range contents {
		at := manifest.RevisionRef("default", revisionName(set.Name, revisionHash([]byte(data), 0)))
		c := v.make(at, "x", []byte(data), int64(i+1))
		v.put(at, c, "there before")
	}
	if d.err != nil {
		t.Fatal(d.err)
	}
	return v
}

// The revision of a template is found by what it holds, also in the form of an older version; one that is gone back to
// gets the next number; a name that another template has is not taken.
func TestVersions_Latest(t *testing.T) {
	set := upstreamSet()
	other := strings.Replace(upstreamData, `"image":"test"`, `"image":"other"`, 1)
	for _, tt := range []struct {
		name       string
		contents   []string
		want       string
		number     int64
		collisions int32
	}{
		{"the first", nil, "test-" + upstreamHash, 1, 0},
		{"there", []string{other, upstreamData}, "test-" + upstreamHash, 2, 0},
		{"there, as an older version wrote it", []string{other, olderData}, "test-" + olderHash, 2, 0},
		{"gone back to", []string{upstreamData, other}, "test-" + upstreamHash, 3, 0},
		{"new", []string{other}, "test-" + upstreamHash, 2, 0},
	} {
		v := revised(t, set, tt.contents...)
		got, collisions, err := v.latest(v.list(), 0)
		if err != nil || got.Ref.Name != tt.want || revisionIn(got).Revision != tt.number || collisions != tt.collisions {
			t.Errorf("%s: %v, number %d, %d collisions, %v; want %s, %d, %d", tt.name, got.Ref, revisionIn(got).Revision, collisions, err, tt.want, tt.number, tt.collisions)
		}
		if list := v.list(); list[len(list)-1] != got {
			t.Errorf("%s: the latest is %s", tt.name, list[len(list)-1].Ref)
		}
	}
	v := revised(t, set)
	foreign := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "test-" + upstreamHash}, Data: runtime.RawExtension{Raw: []byte(`{}`)}}
	v.d.put(state.Put{Ref: manifest.RevisionRef("default", foreign.Name), Object: foreign, Origin: state.Derived})
	got, collisions, err := v.latest(v.list(), 0)
	if err != nil || collisions != 1 || got.Ref.Name == foreign.Name {
		t.Errorf("a name that is taken: %v, %d collisions, %v", got.Ref, collisions, err)
	}
}

func TestVersions_Truncate(t *testing.T) {
	var contents []string
	for _, image := range []string{"a", "b", "c", "d"} {
		contents = append(contents, strings.Replace(upstreamData, `"image":"test"`, `"image":"`+image+`"`, 1))
	}
	name := func(r *state.Record) string { return r.Ref.Name }
	for _, tt := range []struct {
		limit int
		all   bool
		want  []int64 // 2 and 4 have Pods
	}{
		{10, false, []int64{1, 2, 3, 4}}, {1, false, []int64{2, 3, 4}}, {0, false, []int64{2, 4}},
		{10, true, []int64{1, 2, 3, 4}}, {3, true, []int64{2, 3, 4}}, {1, true, []int64{2, 4}}, {0, true, []int64{2, 4}},
	} {
		v := revised(t, upstreamSet(), contents...)
		for _, of := range []int{1, 3} {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: "test-" + strconv.Itoa(of), OwnerReferences: []metav1.OwnerReference{controllerRef(v.owner)},
				Labels: map[string]string{appsv1.StatefulSetRevisionLabel: v.list()[of].Ref.Name},
			}}
			v.d.put(state.Put{Ref: manifest.PodRef("default", pod.Name), Object: pod, Origin: state.Derived})
		}
		v.truncate(v.list(), tt.limit, tt.all, name)
		var got []int64
		for _, r := range v.list() {
			got = append(got, revisionIn(r).Revision)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("limit %d of all %t: %v are left, want %v", tt.limit, tt.all, got, tt.want)
		}
	}
}
