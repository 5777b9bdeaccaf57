package manifest

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// only reads a manifest of one object.
func only(t *testing.T, text string) Object {
	t.Helper()
	f := mustRead("x.yaml", "", []byte(text))
	if len(f.mistakes) > 0 || len(f.objects) != 1 {
		t.Fatalf("%d objects, mistakes:\n%v", len(f.objects), f.mistakes)
	}
	return f.objects[0].Object
}

func TestValidateUpdate(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nimmutable: true\nstringData: {a: one}\n"
	const job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: one}]}}}"
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: one, command: [two]}]}"
	const set = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s}\nspec: {serviceName: one, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: two}]}}}"
	for _, test := range []struct{ name, old, now, want string }{
		{"image of a deployment", web, strings.Replace(web, "web:1", "web:2", 1), ""},
		{"selector of a deployment", web, strings.ReplaceAll(web, "app: web", "app: web2"), "spec.selector: Invalid value"},
		{"image of a pod", pod, strings.Replace(pod, "one", "three", 1), ""},
		{"command of a pod", pod, strings.Replace(pod, "two", "three", 1), "spec: Forbidden: pod updates may not change fields other than"},
		{"data of an immutable secret", secret, strings.Replace(secret, "one", "two", 1), "data: Forbidden: field is immutable when `immutable` is set"},
		{"a job as it is", job, job, ""},
		{"template of a job", job, strings.Replace(job, "one", "two", 1), "spec.template: Invalid value"},
		{"service of a stateful set", set, strings.Replace(set, "one", "three", 1), "spec: Forbidden: updates to statefulset spec for fields other than"},
		{"image of a stateful set", set, strings.Replace(set, "two", "three", 1), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ValidateUpdate(only(t, test.old), only(t, test.now))
			if (test.want == "") != (got == nil) || !strings.HasPrefix(strings.Join(got, "\n"), test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDefaultAndValidate_DerivedObjects(t *testing.T) {
	d := only(t, web).(*appsv1.Deployment)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "shop"},
		Spec:       appsv1.ReplicaSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template},
	}
	made := Default(rs).(*appsv1.ReplicaSet)
	if made.Kind != "ReplicaSet" || made.Spec.Replicas == nil || *made.Spec.Replicas != 1 || rs.Spec.Replicas != nil {
		t.Errorf("made %+v of %+v", made, rs)
	}
	if problems := Validate(made); problems != nil {
		t.Errorf("Validate: %q", problems)
	}
	made.Spec.Template.Spec.Containers[0].Image = ""
	if got, want := Validate(made), []string{"spec.template.spec.containers[0].image: Required value"}; !slices.Equal(got, want) {
		t.Errorf("Validate: %q, want %q", got, want)
	}
	pod := Default(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}}).(*corev1.Pod)
	if pod.Spec.DNSPolicy != corev1.DNSClusterFirst {
		t.Errorf("dnsPolicy %q", pod.Spec.DNSPolicy)
	}
}

func TestItem_NotYetHasLines(t *testing.T) {
	set := mustLoad(t, tree(t, "-- a.yaml --\n"+shop+"---\n"+web+"      schedulerName: mine\n"), nil)
	item, _ := set.Get(DeploymentRef("shop", "web"))
	want := []FieldUse{{Path: "spec.template.spec.schedulerName", Reason: "a scheduler of one's own is not supported yet", Line: 20}}
	if !slices.Equal(item.NotYet, want) {
		t.Errorf("got %+v, want %+v", item.NotYet, want)
	}
}

func TestReadSettings(t *testing.T) {
	const head = "apiVersion: writ.dev/v1alpha1\nkind: Cluster\n"
	for _, test := range []struct{ name, text, want string }{
		{"defaults", head, ""},
		{"everything", head + "spec: {podCIDR: 10.0.0.0/16, serviceCIDR: 10.1.0.0/20, clusterDomain: a.b, nodePorts: 1000-2000}", ""},
		{"another kind", "apiVersion: v1\nkind: Cluster", "writ.yaml:1: must have apiVersion: writ.dev/v1alpha1 and kind: Cluster"},
		{"wrong type", head + "spec: []", "writ.yaml:3: spec: must be a mapping, found a list"},
		{"overlap", head + "spec:\n  podCIDR: 10.0.0.0/8\n", "writ.yaml:3: spec.serviceCIDR: 10.96.0.0/16 overlaps the pods' range 10.0.0.0/8"},
		{"IPv6", head + "spec:\n  podCIDR: fd00::/48\n", "writ.yaml:4: spec.podCIDR: fd00::/48 is not an IPv4 range; IPv6 is not supported yet"},
		{"too small", head + "spec:\n  serviceCIDR: 10.0.0.0/30\n", "writ.yaml:4: spec.serviceCIDR: 10.0.0.0/30 must have a length between 8 and 28"},
		{"two documents", head + "---\n" + head, "writ.yaml:3: holds more than one document"},
		{"a tab", head + "spec:\n\tpodCIDR: x\n", "writ.yaml:4: a tab is used for indentation, YAML allows spaces only"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, mistakes := readSettings("writ.yaml", []byte(test.text))
			if got := mistakes.Error(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{web, shop, "a: &a [*a]", "--- {\n", "\xef\xbb\xbf---\n...\n%YAML\n", "kind: List\napiVersion: v1\nitems: [5, null, {}]",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: [], annotations: {config.kubernetes.io/local-config: 5}}", "? [a]\n: b", "!!binary a", "<<: {a: b}"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, asJSON bool) {
		name := "a.yaml"
		if asJSON {
			name = "a.json"
		}
		file := mustRead(name, "", []byte(text))
		for _, m := range file.mistakes {
			if m.What == "" || m.Source.Path != name || m.Source.Line < 0 || m.Source.Line > strings.Count(text, "\n")+2 {
				t.Errorf("mistake %+v of %q", m, text)
			}
		}
	})
}
