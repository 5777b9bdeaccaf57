package control

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

func world(t *testing.T, puts ...state.Put) *state.World {
	t.Helper()
	w, _, err := state.Apply(state.NewWorld(uuid.New()), state.Batch{
		Writer: state.WriterReconcile, Now: time.Unix(1700000000, 0), Puts: puts,
		Adopt: &state.Adoption{Commit: "aaaa", Subject: "first", Author: "a <a@b>"},
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func deployment(name string, ready int32) state.Put {
	three := int32(3)
	return state.Put{
		Ref: manifest.DeploymentRef("shop", name), Origin: state.Authored, UID: "u-" + "deploy",
		Object: &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: appsv1.DeploymentSpec{Replicas: &three}},
		Status: &appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: ready, AvailableReplicas: ready},
	}
}

func policy() state.Put {
	return state.Put{
		Ref:    manifest.Ref{Group: "networking.k8s.io", Kind: "NetworkPolicy", Namespace: "shop", Name: "deny"},
		Origin: state.Authored, Object: &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "deny"}},
	}
}

func TestReport_Healthy(t *testing.T) {
	at := time.Unix(1700000100, 0)
	newest := &Commit{Hash: "aaaa"}
	for name, c := range map[string]struct {
		puts    []state.Put
		facts   Facts
		healthy bool
		counts  string
	}{
		"all ready":            {[]state.Put{deployment("web", 3)}, Facts{Newest: newest}, true, `{"Healthy":1}`},
		"one not available":    {[]state.Put{deployment("web", 2)}, Facts{Newest: newest}, false, `{"Progressing":1}`},
		"a policy":             {[]state.Put{deployment("web", 3), policy()}, Facts{Newest: newest}, false, `{"Healthy":1,"Unenforced":1}`},
		"a newer commit":       {[]state.Put{deployment("web", 3)}, Facts{Newest: &Commit{Hash: "bbbb"}}, false, `{"Healthy":1}`},
		"a newer one is held":  {[]state.Put{deployment("web", 3)}, Facts{Newest: &Commit{Hash: "bbbb"}, Held: "a mistake"}, false, `{"Healthy":1}`},
		"no repository":        {[]state.Put{deployment("web", 3)}, Facts{Newest: newest, Troubles: []Trouble{{Component: "sync"}}}, true, `{"Healthy":1}`},
		"no names":             {[]state.Put{deployment("web", 3)}, Facts{Newest: newest, Troubles: []Trouble{{Component: "dns"}}}, false, `{"Healthy":1}`},
		"a note on the object": {[]state.Put{deployment("web", 3)}, Facts{Newest: newest, Notes: map[manifest.Ref][]string{manifest.DeploymentRef("shop", "web"): {"not yet"}}}, false, `{"Degraded":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := Report(world(t, c.puts...), c.facts, at)
			counts, err := json.Marshal(s.Counts)
			if err != nil {
				t.Fatal(err)
			}
			if s.Healthy != c.healthy || string(counts) != c.counts {
				t.Errorf("healthy %v with %s, want %v with %s", s.Healthy, counts, c.healthy, c.counts)
			}
		})
	}
}

func TestReport_NothingAdopted(t *testing.T) {
	s := Report(state.NewWorld(uuid.New()), Facts{}, time.Now())
	if s.Healthy || s.Adopted != nil || s.Schema != SchemaVersion || s.Objects == nil {
		t.Errorf("%+v, want an unhealthy status with an empty list", s)
	}
}

func TestArchivesAreMarked(t *testing.T) {
	pod := state.Put{
		Ref: manifest.PodRef("shop", "web"), Origin: state.Authored,
		Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}},
		Status: &corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{{Name: "first", ImageID: state.ArchiveImage + "sha256:1"}},
			ContainerStatuses: []corev1.ContainerStatus{
				{Name: "put", ImageID: state.ArchiveImage + "example.org/web@sha256:2"}, {Name: "pulled", ImageID: "example.org/web@sha256:2"}, {Name: "waiting"},
			},
		},
	}
	w := world(t, pod)
	if s := Report(w, Facts{}, time.Now()); s.Archived != 2 {
		t.Errorf("%d containers have images from archives, want 2", s.Archived)
	}
	marked := map[string]bool{}
	for _, l := range Tree(w, "")[0].Below {
		marked[l.Name] = l.Archive
	}
	if want := map[string]bool{"first": true, "put": true, "pulled": false, "waiting": false}; !maps.Equal(marked, want) {
		t.Errorf("marked in the tree: %v, want %v", marked, want)
	}
}

func TestTree(t *testing.T) {
	w := world(t, deployment("web", 1))
	controller := true
	uid := w.Get(manifest.DeploymentRef("shop", "web")).UID
	b := state.Batch{Writer: state.WriterReconcile, Base: 1, Now: time.Unix(1700000000, 0), Puts: []state.Put{{
		Ref: manifest.PodRef("shop", "web-1"), Origin: state.Derived, Node: "n1",
		Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: uid, Controller: &controller},
		}}},
		Status: &corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "web", RestartCount: 4, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}},
		}}},
	}}}
	w, _, err := state.Apply(w, b, 2)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var walk func(indent string, leaves []Leaf)
	walk = func(indent string, leaves []Leaf) {
		for _, l := range leaves {
			lines = append(lines, indent+l.Kind+"/"+l.Name+" "+l.State)
			walk(indent+" ", l.Below)
		}
	}
	walk("", Tree(w, "shop"))
	want := "Deployment/web Degraded: 1 of 3 updated replicas are available\n" +
		" Pod/web-1 CrashLoopBackOff, 4 restarts\n  container/web CrashLoopBackOff: back-off 10s" // the reason once, where it is
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("tree:\n%s\nwant:\n%s", got, want)
	}
}
