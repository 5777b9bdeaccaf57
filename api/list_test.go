package api

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"writ/manifest"
	"writ/state"
)

func TestList_ChunksAreOfOneWorld(t *testing.T) {
	r := newRig(t)
	const all = 25
	for i := range all {
		r.decide(nil, put(configMap("default", numbered(i), "old")))
	}
	maps := r.admin().CoreV1().ConfigMaps("")
	var names []string
	var version string
	o := metav1.ListOptions{Limit: 10}
	for page := 0; ; page++ {
		list, err := maps.List(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if page == 0 {
			version = list.ResourceVersion
			if list.RemainingItemCount == nil || *list.RemainingItemCount != all-10 {
				t.Errorf("%v remain, want %d", list.RemainingItemCount, all-10)
			}
		}
		if list.ResourceVersion != version {
			t.Errorf("page %d is of %s, the first of %s", page, list.ResourceVersion, version)
		}
		for _, cm := range list.Items {
			names = append(names, cm.Name)
			if cm.Data["value"] != "old" {
				t.Errorf("%s is %q on page %d", cm.Name, cm.Data["value"], page)
			}
		}
		if o.Continue = list.Continue; o.Continue == "" {
			break
		}
		r.decide([]state.Delete{{Ref: manifest.ConfigMapRef("default", numbered(24-page))}}, put(configMap("default", numbered(20), "new")), put(configMap("default", "behind", "new")))
	}
	if len(names) != all || !slices.IsSorted(names) {
		t.Errorf("%d names: %v", len(names), names)
	}
	exact, err := maps.List(t.Context(), metav1.ListOptions{ResourceVersion: version, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if err != nil || len(exact.Items) != all {
		t.Errorf("at %s: %d items, %v", version, len(exact.Items), err)
	}
}

func TestList_ResourceVersions(t *testing.T) {
	r := newRig(t)
	r.decide(nil, put(configMap("default", "a", "1")))
	maps := r.admin().CoreV1().ConfigMaps("default")
	before := r.store.World().Revision()
	r.decide(nil, put(configMap("default", "b", "2")))
	if _, err := maps.List(t.Context(), metav1.ListOptions{ResourceVersion: before.String(), ResourceVersionMatch: metav1.ResourceVersionMatchExact}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a World that nobody holds: %v", err)
	}
	for _, version := range []string{"", "0", before.String()} {
		if list, err := maps.List(t.Context(), metav1.ListOptions{ResourceVersion: version}); err != nil || len(list.Items) != 2 {
			t.Errorf("not older than %q: %d items, %v", version, len(list.Items), err)
		}
	}
	future := (r.store.World().Revision() + 1).String()
	if err := r.admin().CoreV1().RESTClient().Get().AbsPath("/api/v1/namespaces/default/configmaps/a").Param("resourceVersion", future).MaxRetries(0).Do(t.Context()).Error(); !apierrors.IsTimeout(err) {
		t.Errorf("a World that does not come: %v", err)
	}
	if _, err := maps.List(t.Context(), metav1.ListOptions{ResourceVersion: "nonsense"}); !apierrors.IsBadRequest(err) && !apierrors.IsInvalid(err) {
		t.Errorf("nonsense as a version: %v", err)
	}
	if _, err := maps.List(t.Context(), metav1.ListOptions{Limit: 1, Continue: "nonsense"}); !apierrors.IsBadRequest(err) {
		t.Errorf("nonsense as a continuation: %v", err)
	}
	if _, err := maps.List(t.Context(), metav1.ListOptions{LabelSelector: "a in"}); !apierrors.IsBadRequest(err) {
		t.Errorf("nonsense as a selector: %v", err)
	}
	if _, err := maps.List(t.Context(), metav1.ListOptions{FieldSelector: "spec.colour=red"}); !apierrors.IsBadRequest(err) {
		t.Errorf("a field that nobody can select by: %v", err)
	}
}

func TestList_Selectors(t *testing.T) {
	r := newRig(t)
	pod := func(name, node string, phase corev1.PodPhase) state.Put {
		p := put(&corev1.Pod{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"phase": string(phase)}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "busybox"}}},
		})
		p.Node = state.Node(node)
		return p
	}
	r.decide(nil, pod("a", "n1", "x"), pod("b", "n2", "x"), pod("c", "n1", "y"), pod("d", "", "x"))
	for _, test := range []struct {
		labels, fields string
		want           []string
	}{
		{"", "", []string{"a", "b", "c", "d"}},
		{"phase=x", "", []string{"a", "b", "d"}},
		{"phase!=x", "", []string{"c"}},
		{"phase in (x,y)", "spec.nodeName=n1", []string{"a", "c"}},
		{"", "spec.nodeName=", []string{"d"}},
		{"", "metadata.name=b", []string{"b"}},
		{"phase=y", "metadata.name=b", nil},
		{"", "metadata.name!=b,spec.nodeName!=n1", []string{"d"}},
	} {
		for _, limit := range []int64{0, 1} {
			var got []string
			o := metav1.ListOptions{LabelSelector: test.labels, FieldSelector: test.fields, Limit: limit}
			for {
				list, err := r.admin().CoreV1().Pods("default").List(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range list.Items {
					got = append(got, p.Name)
				}
				if o.Continue = list.Continue; o.Continue == "" {
					break
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("labels %q, fields %q, limit %d: %v, want %v", test.labels, test.fields, limit, got, test.want)
			}
		}
	}
}

func TestTable(t *testing.T) {
	r := newRig(t)
	r.decide(nil, put(configMap("default", "a", "1")))
	answer, err := r.admin().CoreV1().RESTClient().Get().AbsPath("/api/v1/configmaps").SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(answer, &table); err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, column := range table.ColumnDefinitions {
		columns = append(columns, column.Name)
	}
	if !slices.Equal(columns, []string{"Name", "Data", "Age"}) || len(table.Rows) != 1 || table.Rows[0].Cells[0] != "a" {
		t.Errorf("columns %v, rows %v", columns, table.Rows)
	}
}

func TestWatch_FromTooLongAgo(t *testing.T) {
	r := newRig(t)
	r.decide(nil, put(configMap("default", "a", "1")))
	if w, err := r.admin().CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{ResourceVersion: "1"}); !apierrors.IsResourceExpired(err) {
		if err == nil {
			e := <-w.ResultChan()
			if e.Type == watch.Error && apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
				return
			}
			t.Fatalf("the watch tells %v", e)
		}
		t.Errorf("the watch: %v", err)
	}
}
