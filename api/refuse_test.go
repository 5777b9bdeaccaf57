package api

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"writ/manifest"
	"writ/state"
)

const webYAML = `
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: written, name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: web:1}]}
`

// shop is a Deployment that is written, its ReplicaSet and Pod, and a Node that is not written.
func shop(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	deployment, set, pod := &appsv1.Deployment{}, &appsv1.ReplicaSet{}, &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(webYAML), deployment); err != nil {
		t.Fatal(err)
	}
	set.Namespace, set.Name, set.Spec.Selector, set.Spec.Template = "written", "web-1", deployment.Spec.Selector, deployment.Spec.Template
	pod.Namespace, pod.Name, pod.Spec = "written", "web-1-x", deployment.Spec.Template.Spec
	d := put(deployment)
	d.Origin = state.Authored
	_, err := r.store.Propose(t.Context(), state.Batch{
		Writer: state.WriterReconcile, Base: r.store.World().Revision(), Now: now,
		Adopt: &state.Adoption{Commit: "0123456789abcdef", Branch: "main"}, Puts: []state.Put{d, put(&corev1.Node{ObjectMeta: meta("", "n1")})},
	})
	if err != nil {
		t.Fatal(err)
	}
	own := func(o metav1.Object, kind string, owner manifest.Ref) {
		yes := true
		o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: owner.Name, UID: r.store.World().Get(owner).UID, Controller: &yes}})
	}
	own(set, "Deployment", manifest.DeploymentRef("written", "web"))
	r.decide(nil, put(set))
	own(pod, "ReplicaSet", manifest.ReplicaSetRef("written", "web-1"))
	r.decide(nil, put(pod))
	return r
}

// Every write is refused with words that help, and changes nothing.
func TestRefuse_EveryWrite(t *testing.T) {
	r := shop(t)
	before := r.store.World().Revision()
	c := r.admin()
	deployments, pods := c.AppsV1().Deployments("written"), c.CoreV1().Pods("written")
	patch := func(kind types.PatchType, data string, below ...string) error {
		return second(deployments.Patch(t.Context(), "web", kind, []byte(data), metav1.PatchOptions{FieldManager: "test"}, below...))
	}
	const run = "this cluster is run from https://git.example/shop.git@main and changed there, not through its API: "
	const web = run + "Deployment written/web is at shop/all.yaml:3 (commit 0123456); "
	const podWay = run + "Pod written/web-1-x is made for ReplicaSet written/web-1, ReplicaSet written/web-1 is made for Deployment written/web, Deployment written/web is at shop/all.yaml:3 (commit 0123456); "
	deployment, err := deployments.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		err  error
		want string
	}{
		"create":            {second(c.CoreV1().ConfigMaps("written").Create(t.Context(), configMap("written", "x", "1"), metav1.CreateOptions{})), run + "add a manifest to the branch"},
		"create, badly":     {second(c.CoreV1().Pods("written").Create(t.Context(), &corev1.Pod{}, metav1.CreateOptions{})), run + "add a manifest to the branch"},
		"update":            {second(deployments.Update(t.Context(), deployment, metav1.UpdateOptions{})), web + "change it there"},
		"update its status": {second(deployments.UpdateStatus(t.Context(), deployment, metav1.UpdateOptions{})), web + "change it there"},
		"label":             {patch(types.MergePatchType, `{"metadata":{"labels":{"a":"b"}}}`), web + "change metadata.labels.a there"},
		"set image":         {patch(types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"main"}],"containers":[{"image":"web:2","name":"main"}]}}}}`), web + "change spec.template.spec.containers there"},
		"pause":             {patch(types.StrategicMergePatchType, `{"spec":{"paused":true}}`), web + "change spec.paused there"},
		"undo":              {patch(types.JSONPatchType, `[{"op":"replace","path":"/spec/template","value":{}},{"op":"replace","path":"/metadata/annotations","value":{}}]`), web + "to undo its last change: git revert 0123456"},
		"restart":           {patch(types.StrategicMergePatchType, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`), web + `to have all its pods replaced, annotate Deployment there with writ.dev/replace-pods: "*"`},
		"apply":             {patch(types.ApplyPatchType, webYAML), web + "change spec.replicas, spec.selector.matchLabels.app, spec.template.metadata.labels.app, spec.template.spec.containers there"},
		"a broken patch":    {patch(types.MergePatchType, `{`), web + "change it there"},
		"scale":             {patch(types.MergePatchType, `{"spec":{"replicas":5}}`, "scale"), web + "change spec.replicas there"},
		"delete":            {deployments.Delete(t.Context(), "web", metav1.DeleteOptions{}), web + "remove it there"},
		"delete all":        {deployments.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}), run + "remove from the branch what is to go"},
		"delete a pod":      {pods.Delete(t.Context(), "web-1-x", metav1.DeleteOptions{}), podWay + "to have the pod replaced, annotate Deployment there with writ.dev/replace-pods: web-1-x"},
		"evict":             {pods.EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: meta("written", "web-1-x")}), podWay + `to drain a node, annotate its manifest with writ.dev/drain: "true"`},
		"cordon":            {second(c.CoreV1().Nodes().Patch(t.Context(), "n1", types.StrategicMergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})), run + "Node n1 is written nowhere: a manifest of that name takes its place; change spec.unschedulable there"},
		"what is not there": {c.CoreV1().Secrets("x").Delete(t.Context(), "none", metav1.DeleteOptions{}), run + "Secret x/none is not there; remove it there"},
		"bind":              {c.CoreV1().Pods("written").Bind(t.Context(), &corev1.Binding{ObjectMeta: meta("written", "web-1-x")}, metav1.CreateOptions{}), podWay},
	} {
		if !apierrors.IsMethodNotSupported(test.err) || !strings.HasPrefix(test.err.Error(), test.want) {
			t.Errorf("%s: %v", what, test.err)
		}
	}
	for what, err := range map[string]error{
		"a write by who may not":  second(kubernetesFor(r, "zoe").CoreV1().ConfigMaps("written").Create(t.Context(), configMap("written", "x", "1"), metav1.CreateOptions{})),
		"a delete by who may not": kubernetesFor(r, "zoe").CoreV1().Pods("written").Delete(t.Context(), "web-1-x", metav1.DeleteOptions{}),
	} {
		if !apierrors.IsForbidden(err) || strings.Contains(err.Error(), "shop") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := r.store.World().Revision(); after != before {
		t.Errorf("the World was at %s and is at %s", before, after)
	}
}

func kubernetesFor(r *rig, user string) *kubernetes.Clientset { return r.client(r.as(user)) }

// A write that is only tried is defaulted, checked and merged as anywhere, and changes nothing.
func TestDryRun(t *testing.T) {
	r := shop(t)
	before := r.store.World().Revision()
	deployments := r.admin().AppsV1().Deployments("written")
	dry := []string{metav1.DryRunAll}
	for kind, data := range map[types.PatchType]string{
		types.MergePatchType:          `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"web:2"}]}}}}`,
		types.StrategicMergePatchType: `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"web:2"}]}}}}`,
		types.JSONPatchType:           `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"web:2"}]`,
		types.ApplyPatchType:          strings.ReplaceAll(webYAML, "web:1", "web:2"),
	} {
		force := true
		o := metav1.PatchOptions{DryRun: dry, FieldManager: "test"}
		if kind == types.ApplyPatchType {
			o.Force = &force
		}
		got, err := deployments.Patch(t.Context(), "web", kind, []byte(data), o)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if c := got.Spec.Template.Spec.Containers[0]; c.Image != "web:2" || c.ImagePullPolicy == "" || *got.Spec.Replicas != 2 {
			t.Errorf("%s: %v", kind, got.Spec)
		}
		if kind == types.ApplyPatchType && len(got.ManagedFields) == 0 {
			t.Errorf("%s: nobody manages a field", kind)
		}
	}
	created, err := r.admin().CoreV1().Services("written").Create(t.Context(), &corev1.Service{ObjectMeta: meta("", "new"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{DryRun: dry})
	if err != nil || created.Spec.Type != corev1.ServiceTypeClusterIP || created.Spec.ClusterIP == "" {
		t.Errorf("a Service: %v, %v", created, err)
	}
	for what, err := range map[string]error{
		"a patch that cannot be": second(deployments.Patch(t.Context(), "web", types.MergePatchType, []byte(`{"spec":{"replicas":-1}}`), metav1.PatchOptions{DryRun: dry})),
		"a changed selector":     second(deployments.Patch(t.Context(), "web", types.MergePatchType, []byte(`{"spec":{"selector":{"matchLabels":{"app":"x"}}}}`), metav1.PatchOptions{DryRun: dry})),
		"a pod without anything": second(r.admin().CoreV1().Pods("written").Create(t.Context(), &corev1.Pod{ObjectMeta: meta("", "p")}, metav1.CreateOptions{DryRun: dry})),
	} {
		if !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := r.admin().CoreV1().Pods("written").Delete(t.Context(), "web-1-x", metav1.DeleteOptions{DryRun: dry}); err != nil {
		t.Errorf("a delete that is tried: %v", err)
	}
	if err := r.admin().CoreV1().Pods("written").Delete(t.Context(), "none", metav1.DeleteOptions{DryRun: dry}); !apierrors.IsNotFound(err) {
		t.Errorf("a delete of nothing that is tried: %v", err)
	}
	if after := r.store.World().Revision(); after != before {
		t.Errorf("the World was at %s and is at %s", before, after)
	}
}

// Who asks before the first commit is answered, and after it for what that says of the cluster's addresses.
func TestDryRun_OfTheAdoptedRanges(t *testing.T) {
	r := newRig(t)
	try := func(ip string) error {
		return second(r.admin().CoreV1().Services("web").Create(t.Context(), &corev1.Service{
			ObjectMeta: meta("", "new"), Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Port: 80}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}))
	}
	if err := try("10.96.0.77"); err != nil {
		t.Errorf("of the default range: %v", err)
	}
	settings := manifest.DefaultSettings()
	settings.Spec.ServiceCIDR = "10.50.0.0/16"
	if _, err := r.store.Propose(t.Context(), state.Batch{
		Writer: state.WriterReconcile, Base: r.store.World().Revision(), Now: now, Adopt: &state.Adoption{Commit: "0123456789abcdef", Settings: settings},
	}); err != nil {
		t.Fatal(err)
	}
	if err := try("10.50.0.77"); err != nil {
		t.Errorf("of the adopted range: %v", err)
	}
	if err := try("10.96.0.77"); !apierrors.IsInvalid(err) {
		t.Errorf("of the range that was: %v", err)
	}
}
