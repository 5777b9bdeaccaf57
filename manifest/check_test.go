package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// app is a Deployment with the label app=a, whose pod spec goes on with the given lines, at an indentation
// of six.
func app(name, pod string) string {
	text := fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s}\nspec:\n  selector: {matchLabels: {app: %s}}\n  template:\n    metadata: {labels: {app: %s}}\n    spec:\n", name, name, name)
	for line := range strings.Lines(pod) {
		text += "      " + line
	}
	return text + "\n"
}

const plain = "containers: [{name: c, image: c}]"

// checked is everything that is said about a tree: mistakes, or else warnings, each marked.
func checked(t *testing.T, text string) string {
	t.Helper()
	set, err := Load(tree(t, text), nil)
	var ms Mistakes
	if err != nil && !errors.As(err, &ms) {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range ms {
		lines = append(lines, m.String())
	}
	if set != nil {
		for _, w := range set.Warnings() {
			lines = append(lines, "warning: "+w.String())
		}
	}
	return strings.Join(lines, "\n")
}

func TestCheck_Missing(t *testing.T) {
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v}\n"
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: m}\nstringData: {k: v}\n"
	const widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: default}\n"
	const claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data-s-1}\nspec: {accessModes: [ReadWriteOnce], storageClassName: slow, resources: {requests: {storage: 1Gi}}}\n"
	const mount = "containers: [{name: c, image: c}]\nvolumes:\n"
	for _, test := range []struct{ name, text, want string }{
		{"map of a variable", app("a", "containers:\n- name: c\n  image: c\n  env:\n  - name: A\n    valueFrom: {configMapKeyRef: {name: m, key: k}}"),
			"a.yaml:14: Deployment/default/a: spec.template.spec.containers[0].env[0].valueFrom.configMapKeyRef: ConfigMap/default/m is not declared in this commit: the pod could never start"},
		{"map of a variable that is there", app("a", "containers: [{name: c, image: c, env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: k}}}]}]") + "---\n" + config, ""},
		{"optional map", app("a", "containers: [{name: c, image: c, env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: k, optional: true}}}]}]"), ""},
		{"key that is not there", app("a", "containers: [{name: c, image: c, env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: other}}}]}]") + "---\n" + config,
			"a.yaml:9: Deployment/default/a: spec.template.spec.containers[0].env[0].valueFrom.configMapKeyRef: ConfigMap/default/m in a.yaml:11 has no key \"other\": the pod could never start"},
		{"key of a map that is filled by something", app("a", "containers: [{name: c, image: c, env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: other}}}]}]") + "---\n" + configMap("m"),
			"warning: a.yaml:9: Deployment/default/a: spec.template.spec.containers[0].env[0].valueFrom.configMapKeyRef: ConfigMap/default/m in a.yaml:11 has no key \"other\": the pod could never start"},
		{"secret of all variables", app("a", "containers: [{name: c, image: c, envFrom: [{secretRef: {name: m}}]}]"), "containers[0].envFrom[0].secretRef: Secret/default/m is not declared"},
		{"secret of another namespace", app("a", "containers: [{name: c, image: c, envFrom: [{secretRef: {name: m}}]}]") + "---\n" + strings.Replace(secret, "name: m", "name: m, namespace: kube-system", 1), "Secret/default/m is not declared"},
		{"secret beside custom resources", app("a", "containers: [{name: c, image: c, envFrom: [{secretRef: {name: m}}]}]") + "---\n" + widget, "warning: a.yaml:9: Deployment/default/a: spec.template.spec.containers[0].envFrom[0].secretRef: Secret/default/m is not declared in this commit: the pod could never start\nwarning: a.yaml:11: Widget/default/w: apiVersion: no CustomResourceDefinition of this commit defines the kind Widget of example.com"},
		{"secret of an init container", app("a", "initContainers: [{name: c, image: c, envFrom: [{secretRef: {name: m}}]}]\ncontainers: [{name: d, image: c}]"), "initContainers[0].envFrom[0].secretRef: Secret/default/m is not declared"},
		{"volumes", app("a", mount+"- {name: a, secret: {secretName: m}}\n- {name: b, configMap: {name: m, items: [{key: k, path: p}]}}\n- {name: d, persistentVolumeClaim: {claimName: m}}\n- {name: e, projected: {sources: [{secret: {name: x}}, {configMap: {name: x, optional: true}}]}}"),
			`a.yaml:11: Deployment/default/a: spec.template.spec.volumes[0].secret: Secret/default/m is not declared in this commit: the pod could never start
a.yaml:12: Deployment/default/a: spec.template.spec.volumes[1].configMap.items[0]: ConfigMap/default/m is not declared in this commit: the pod could never start
a.yaml:13: Deployment/default/a: spec.template.spec.volumes[2].persistentVolumeClaim.claimName: PersistentVolumeClaim/default/m is not declared in this commit: the pod could never start
a.yaml:14: Deployment/default/a: spec.template.spec.volumes[3].projected.sources[0].secret: Secret/default/x is not declared in this commit: the pod could never start`},
		{"what is always there", app("a", "serviceAccountName: default\npriorityClassName: system-node-critical\n"+mount+"- {name: b, configMap: {name: kube-root-ca.crt}}"), ""},
		{"account and classes", app("a", "serviceAccountName: sa\npriorityClassName: pc\nruntimeClassName: rc\n"+plain),
			`a.yaml:9: Deployment/default/a: spec.template.spec.serviceAccountName: ServiceAccount/default/sa is not declared in this commit: no pod could be made
a.yaml:10: Deployment/default/a: spec.template.spec.priorityClassName: PriorityClass/pc is not declared in this commit: no pod could be made
a.yaml:11: Deployment/default/a: spec.template.spec.runtimeClassName: RuntimeClass/rc is not declared in this commit: no pod could be made`},
		{"pull secret", app("a", "imagePullSecrets: [{name: m}]\n"+plain), "warning: a.yaml:9: Deployment/default/a: spec.template.spec.imagePullSecrets[0].name: Secret/default/m is not declared in this commit: images are pulled without it"},
		{"pull secret of another type", app("a", "imagePullSecrets: [{name: m}]\n"+plain) + "---\n" + secret,
			"warning: a.yaml:9: Deployment/default/a: spec.template.spec.imagePullSecrets[0].name: Secret/default/m in a.yaml:12 is of type Opaque, not kubernetes.io/dockerconfigjson: images are pulled without it"},
		{"pull secret as it should be", app("a", "imagePullSecrets: [{name: m}]\n"+plain) + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: m}\ntype: kubernetes.io/dockercfg\nstringData: {.dockercfg: '{}'}\n", ""},
		{"claim of a set", app("a", mount+"- {name: d, persistentVolumeClaim: {claimName: data-s-1}}") + "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s}\nspec: {selector: {matchLabels: {x: s}}, volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}], template: {metadata: {labels: {x: s}}, spec: {containers: [{name: c, image: c}]}}}", ""},
		{"storage class", claim, "warning: a.yaml:4: PersistentVolumeClaim/default/data-s-1: spec.storageClassName: StorageClass/slow is not declared"},
		{"storage class in an annotation", "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: c\n  annotations:\n    volume.beta.kubernetes.io/storage-class: slow\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
			"warning: a.yaml:6: PersistentVolumeClaim/default/c: metadata.annotations[volume.beta.kubernetes.io/storage-class]: StorageClass/slow is not declared in this commit: the claim stays unbound until something makes a volume of the class\n" +
				`warning: a.yaml:6: PersistentVolumeClaim/default/c: metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead`},
		{"storage class of a volume", claim + "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v}\nspec: {storageClassName: slow, accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /x}}", ""},
		{"target of an autoscaler", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec:\n  maxReplicas: 2\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}\n",
			"a.yaml:6: HorizontalPodAutoscaler/default/h: spec.scaleTargetRef: Deployment/default/a is not declared in this commit: there is nothing to scale"},
		{"target in an old version", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: {maxReplicas: 2, scaleTargetRef: {apiVersion: extensions/v1beta1, kind: Deployment, name: a}}\n---\n" + app("a", plain), ""},
		{"target of two autoscalers", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: &s {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: i}\nspec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}}\n---\n" + app("a", plain),
			"a.yaml:9: HorizontalPodAutoscaler/default/i: spec.scaleTargetRef: Deployment/default/a is scaled by HorizontalPodAutoscaler/default/h in a.yaml:1 too"},
		{"role", "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}\nsubjects: []\n", "warning: a.yaml:4: RoleBinding/default/b: roleRef.name: Role/default/r is not declared"},
		{"role that is always there", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: []\n", ""},
		{"an object with a mistake is there", app("a", "containers: [{name: c, image: c, envFrom: [{secretRef: {name: m}}]}]") + "---\n" + strings.Replace(secret, "stringData", "data", 1), "a.yaml:14: Secret/default/m: data[k]: cannot be read as base64"},
		{"something that could not be read", app("a", "containers: [{name: c, image: c, envFrom: [{secretRef: {name: m}}]}]") + "---\na: b\n", "a.yaml:11: is not a Kubernetes object"},
	} {
		t.Run(test.name, func(t *testing.T) { sameChecked(t, test.text, test.want) })
	}
}

// sameChecked compares: nothing is said, one line holds what is wanted, or all lines are as wanted.
func sameChecked(t *testing.T, text, want string) {
	t.Helper()
	got := checked(t, "-- a.yaml --\n"+text)
	if strings.Count(got, "\n") != strings.Count(want, "\n") || !strings.Contains(got, want) || want == "" && got != "" ||
		strings.HasPrefix(got, "warning: ") != strings.HasPrefix(want, "warning: ") {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func svc(name, spec string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec:\n  " + strings.ReplaceAll(spec, "\n", "\n  ") + "\n"
}

func TestCheck_OnImmutableChange(t *testing.T) {
	const text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: m\n  annotations:\n    writ.dev/on-immutable-change: %s\n"
	for how, want := range map[string]string{
		"recreate": "", "orphan": "",
		"replace": `a.yaml:6: ConfigMap/default/m: metadata.annotations[writ.dev/on-immutable-change]: "replace" must be recreate or orphan`,
		`""`:      `a.yaml:6: ConfigMap/default/m: metadata.annotations[writ.dev/on-immutable-change]: "" must be recreate or orphan`,
	} {
		if got := checked(t, "-- a.yaml --\n"+fmt.Sprintf(text, how)); got != want {
			t.Errorf("%s: %q, want %q", how, got, want)
		}
	}
}

func TestCheck_Services(t *testing.T) {
	const web = "containers: [{name: c, image: c, ports: [{name: web, containerPort: 8080}]}]"
	ingress := func(port string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\nspec:\n  defaultBackend: {service: {name: s, port: {" + port + "}}}\n"
	}
	for _, test := range []struct{ name, text, want string }{
		{"fine", svc("s", "selector: {app: a}\nports: [{port: 80, targetPort: web}]") + "---\n" + app("a", web), ""},
		{"nothing is selected", svc("s", "selector: {app: b}\nports: [{port: 80}]") + "---\n" + app("a", web), "warning: a.yaml:5: Service/default/s: spec.selector: matches the pods of nothing that this commit declares in namespace default"},
		{"no such name", svc("s", "selector: {app: a}\nports:\n- {port: 80, targetPort: http}") + "---\n" + app("a", web), `a.yaml:7: Service/default/s: spec.ports[0].targetPort: no container of Deployment/default/a in a.yaml:9 has a port named "http" (TCP)`},
		{"a name of another protocol", svc("s", "selector: {app: a}\nports: [{port: 80, protocol: UDP, targetPort: web}]") + "---\n" + app("a", web), `has a port named "web" (UDP)`},
		{"a name that some have", svc("s", "selector: {x: y1}\nports: [{port: 80, targetPort: web}]") + "---\n" + strings.Replace(app("a", web), "labels: {app: a}", "labels: {app: a, x: y1}", 1) + "---\n" + strings.Replace(app("b", plain), "labels: {app: b}", "labels: {app: b, x: y1}", 1), ""},
		{"a sidecar's name", svc("s", "selector: {app: a}\nports: [{port: 80, targetPort: web}]") + "---\n" + app("a", "initContainers: [{name: i, image: i, restartPolicy: Always, ports: [{name: web, containerPort: 1}]}]\n"+plain), ""},
		{"a number that nobody lists", svc("s", "selector: {app: a}\nports: [{port: 80}]") + "---\n" + app("a", web), "warning: a.yaml:6: Service/default/s: spec.ports[0]: forwards to 80/TCP, which no container of Deployment/default/a in a.yaml:8 lists among its ports"},
		{"a number where nothing is listed", svc("s", "selector: {app: a}\nports: [{port: 80}]") + "---\n" + app("a", plain), ""},
		{"an external name", svc("s", "type: ExternalName\nexternalName: example.com\nselector: {app: zzz}"), ""},
		{"a label that controllers add", svc("s", "selector: {app: a, statefulset.kubernetes.io/pod-name: a-0}\nports: [{port: 8080}]") + "---\n" + app("a", web), ""},
		{"only a label that controllers add", svc("s", "selector: {statefulset.kubernetes.io/pod-name: a-0}\nports: [{port: 8080}]") + "---\n" + app("a", web), ""},
		{"a pod", svc("s", "selector: {app: p}\nports: [{port: 80, targetPort: web}]") + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: p}}\nspec: {" + plain + "}", `no container of Pod/default/p in a.yaml:8 has a port named "web"`},
		{"ingress by number", ingress("number: 80") + "---\n" + svc("s", "ports: [{port: 80, name: web}]"), ""},
		{"ingress by name", ingress("name: web") + "---\n" + svc("s", "ports: [{port: 80, name: web}]"), ""},
		{"ingress without a port", ingress("number: 81") + "---\n" + svc("s", "ports: [{port: 80, name: web}]"), "a.yaml:5: Ingress/default/i: spec.defaultBackend.service.port: Service/default/s in a.yaml:7 has no port 81"},
		{"ingress without a service", ingress("number: 81"), "a.yaml:5: Ingress/default/i: spec.defaultBackend.service.name: Service/default/s is not declared in this commit: there is nothing to forward to"},
		{"budget", "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\nspec: {minAvailable: 1, selector: {matchExpressions: [{key: app, operator: In, values: [b, d]}]}}\n---\n" + app("a", plain), "warning: a.yaml:4: PodDisruptionBudget/default/b: spec.selector: matches the pods of nothing"},
		{"budget that matches", "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\nspec: {minAvailable: 1, selector: {matchExpressions: [{key: app, operator: In, values: [b, a]}]}}\n---\n" + app("a", plain), ""},
		{"budget without a selector", "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\nspec: {minAvailable: 1}\n---\n" + app("a", plain), "warning: a.yaml:4: PodDisruptionBudget/default/b: spec.selector: matches the pods of nothing"},
		{"budget of a namespace", "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\nspec: {minAvailable: 1, selector: {}}\n---\n" + app("a", plain), ""},
		{"policy", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: b}\nspec: {podSelector: {matchLabels: {app: b}}}\n---\n" + app("a", plain), "warning: a.yaml:4: NetworkPolicy/default/b: spec.podSelector: matches the pods of nothing"},
		{"policy of a namespace", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: b}\nspec: {podSelector: {}}", ""},
	} {
		t.Run(test.name, func(t *testing.T) { sameChecked(t, test.text, test.want) })
	}
}

func TestCheck_Flaws(t *testing.T) {
	hpa := func(target string) string {
		return "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec:\n  maxReplicas: 2\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}\n  metrics:\n  - type: Object\n    object:\n      metric: {name: m}\n      describedObject: {apiVersion: v1, kind: Service, name: s}\n      target: {" + target + "}\n---\n" + app("a", plain)
	}
	policy := func(spec string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {}\n  " + spec + "\n"
	}
	for _, test := range []struct{ name, text, want string }{
		{"image", app("a", "containers: [{name: c, image: my-imageA:1.0}]"), `a.yaml:9: Deployment/default/a: spec.template.spec.containers[0].image: "my-imageA:1.0" is not the name of an image: repository name (library/my-imageA) must be lowercase`},
		{"image of an init container", app("a", "initContainers:\n- name: i\n  image: a b\n"+plain), `a.yaml:11: Deployment/default/a: spec.template.spec.initContainers[0].image: "a b" is not the name of an image: invalid reference format`},
		{"images", app("a", "containers: [{name: c, image: registry.example:5000/A/b:C_1.}]") + "---\n" + app("b", "containers: [{name: c, image: 'my_image@sha256:"+strings.Repeat("0", 64)+"'}]"), "repository name (A/b) must be lowercase"},
		{"value", hpa(`type: Value, value: "1"`), ""},
		{"average", hpa(`type: AverageValue, averageValue: "1"`), ""},
		{"average in the place of the value", hpa(`type: Value, averageValue: "1"`), "a.yaml:12: HorizontalPodAutoscaler/default/h: spec.metrics[0].object.target: a target of type Value has its number in value, which is missing: the metric could never be compared"},
		{"value in the place of the average", hpa(`type: AverageValue, value: "1"`), "spec.metrics[0].object.target: a target of type AverageValue has its number in averageValue, which is missing"},
		{"a kind that is not there", strings.Replace(hpa(`type: Value, value: "1"`), "v1, kind: Service", "extensions/v1, kind: Ingress", 1), "warning: a.yaml:11: HorizontalPodAutoscaler/default/h: spec.metrics[0].object.describedObject.apiVersion: extensions/v1 has no kind \"Ingress\"; write apiVersion: networking.k8s.io/v1, kind: Ingress"},
		{"a kind of one's own", strings.Replace(hpa(`type: Value, value: "1"`), "v1, kind: Service", "example.com/v1, kind: Queue", 1), ""},
		{"policy", policy("policyTypes: [Egress]\n  egress: [{}]"), ""},
		{"policy with rules of the other direction", policy("policyTypes: [Egress]\n  ingress: [{}]"), "warning: a.yaml:7: NetworkPolicy/default/p: spec.ingress: has no effect, as spec.policyTypes does not name Ingress"},
		{"policy whose types are left out", policy("egress: [{}]"), ""},
	} {
		t.Run(test.name, func(t *testing.T) { sameChecked(t, test.text, test.want) })
	}
}

func TestCheck_Addresses(t *testing.T) {
	port := func(name string, port int) string {
		return svc(name, fmt.Sprintf("type: NodePort\nports:\n- {port: 80, nodePort: %d}", port))
	}
	address := func(name, ip string) string { return svc(name, "clusterIP: "+ip+"\nports: [{port: 80}]") }
	host := func(name, pod string) string {
		d := app(name, "containers: [{name: c, image: c, ports: [{containerPort: 80, hostPort: 80"+pod+"}]}]")
		return strings.Replace(d, "\nspec:\n", "\nspec:\n  strategy: {type: Recreate}\n", 1)
	}
	everywhere := func(name string) string {
		return strings.ReplaceAll(strings.Replace(host(name, ""), "  strategy: {type: Recreate}\n", "", 1), "Deployment", "DaemonSet")
	}
	rolling := func(name string, replicas int, strategy string) string {
		return strings.Replace(host(name, ""), "strategy: {type: Recreate}", fmt.Sprintf("replicas: %d\n  strategy: {%s}", replicas, strategy), 1)
	}
	const nodes = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n2}\n---\n"
	for _, test := range []struct{ name, text, want string }{
		{"different ports", port("a", 30001) + "---\n" + port("b", 30002), ""},
		{"the same port", port("a", 30001) + "---\n" + port("b", 30001), "a.yaml:15: Service/default/b: spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated: Service/default/a in a.yaml:1 asks for it too"},
		{"a port outside", port("a", 80), "a.yaml:7: Service/default/a: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"},
		{"different addresses", address("a", "10.96.0.7") + "---\n" + address("b", "10.96.0.8"), ""},
		{"the same address", address("a", "10.96.0.7") + "---\n" + address("b", "10.96.0.7"), "a.yaml:12: Service/default/b: spec.clusterIP: Invalid value: \"10.96.0.7\": provided IP is already allocated: Service/default/a in a.yaml:1 asks for it too"},
		{"an address outside", address("a", "10.97.0.7"), "a.yaml:5: Service/default/a: spec.clusterIP: Invalid value: \"10.97.0.7\": the provided IP is not in the valid range 10.96.0.0/16"},
		{"the address of the name server", address("a", "10.96.0.10"), "the address belongs to Service/kube-system/kube-dns"},
		{"the first address", address("a", "10.96.0.1"), "the address belongs to Service/default/kubernetes"},
		{"headless", address("a", "None") + "---\n" + address("b", "None"), ""},
		{"different host addresses", host("a", ", hostIP: 10.0.0.1") + "---\n" + host("b", ", hostIP: 10.0.0.2"), ""},
		{"the same host port on one node", host("a", "") + "---\n" + host("b", ", hostIP: 10.0.0.2"), "a.yaml:21: Deployment/default/b: spec.template.spec.containers[0].ports[0].hostPort: 80/TCP is asked for by Deployment/default/a in a.yaml:1 too; a node has it once"},
		{"the same host port on two nodes", nodes + host("a", "") + "---\n" + host("b", ""), "warning: a.yaml:29: Deployment/default/b: spec.template.spec.containers[0].ports[0].hostPort: 80/TCP is asked for by"},
		{"the same host port on every node", nodes + everywhere("a") + "---\n" + everywhere("b"), "a.yaml:27: DaemonSet/default/b: spec.template.spec.containers[0].ports[0].hostPort: 80/TCP"},
		{"another protocol", host("a", "") + "---\n" + host("b", ", protocol: UDP"), ""},
		{"a node port", host("a", ", hostIP: 10.0.0.1") + "---\n" + svc("s", "type: NodePort\nports: [{port: 80, nodePort: 30080}]"), ""},
		{"a host port that is a node port", strings.ReplaceAll(host("a", ""), "hostPort: 80", "hostPort: 30080") + "---\n" + svc("s", "type: NodePort\nselector: {app: a}\nports: [{port: 80, nodePort: 30080}]"),
			"warning: a.yaml:10: Deployment/default/a: spec.template.spec.containers[0].ports[0].hostPort: 30080/TCP is the node port of Service/default/s in a.yaml:12: who connects to the node reaches the Service and not this pod"},
		{"more pods than nodes", rolling("a", 3, ""), "warning: a.yaml:11: Deployment/default/a: spec.template.spec.containers[0].ports[0].hostPort: a node has 80/TCP once: of 3 pods at most 1 can run"},
		{"a rollout that could not end", rolling("a", 1, ""), "warning: a.yaml:11: Deployment/default/a: spec.template.spec.containers[0].ports[0].hostPort: a node has 80/TCP once, and no pod may go before a new one is ready: a change of the template would wait for ever; set spec.strategy.rollingUpdate.maxUnavailable to 1, or spec.strategy.type to Recreate"},
		{"a rollout that may take the pod away", rolling("a", 1, "rollingUpdate: {maxUnavailable: 1}"), ""},
		{"a rollout with a second node", nodes + rolling("a", 1, ""), ""},
		{"no replicas", host("a", "") + "---\n" + strings.Replace(host("b", ""), "spec:\n", "spec:\n  replicas: 0\n", 1), ""},
	} {
		t.Run(test.name, func(t *testing.T) { sameChecked(t, test.text, test.want) })
	}
}

func TestCheck_Bandwidths(t *testing.T) {
	pod := func(kind, value string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    kubernetes.io/" + kind + "-bandwidth: \"" + value + "\"\nspec: {containers: [{name: c, image: c}]}\n"
	}
	const at = "a.yaml:6: Pod/default/p: metadata.annotations[kubernetes.io/"
	for _, test := range []struct{ name, text, want string }{
		{"the least", pod("ingress", "1k"), ""},
		{"the most", pod("egress", "1P"), ""},
		{"too small", pod("egress", "999"), at + "egress-bandwidth]: Invalid value: \"999\": resource is unreasonably small (< 1kbit)"},
		{"too large", pod("ingress", "1001T"), at + "ingress-bandwidth]: Invalid value: \"1001T\": resource is unreasonably large (> 1Pbit)"},
		{"negative", pod("ingress", "-1M"), at + "ingress-bandwidth]: Invalid value: \"-1M\": resource is unreasonably small (< 1kbit)"},
		{"no quantity", pod("ingress", "fast"), at + "ingress-bandwidth]: Invalid value: \"fast\": quantities must match the regular expression"},
		{"of a template", strings.Replace(app("a", plain), "    metadata: {labels: {app: a}}", "    metadata: {labels: {app: a}, annotations: {kubernetes.io/egress-bandwidth: \"1\"}}", 1),
			"a.yaml:7: Deployment/default/a: spec.template.metadata.annotations[kubernetes.io/egress-bandwidth]: Invalid value: \"1\": resource is unreasonably small (< 1kbit)"},
	} {
		t.Run(test.name, func(t *testing.T) { sameChecked(t, test.text, test.want) })
	}
}

func TestCheck_Dependencies(t *testing.T) {
	on := func(name, text string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n  annotations:\n    config.kubernetes.io/depends-on: " + text + "\n"
	}
	const at = "/namespaces/default/ConfigMap/"
	for _, test := range []struct{ name, text, want string }{
		{"a chain", on("a", at+"b") + "---\n" + on("b", at+"c, /Namespace/default") + "---\n" + configMap("c"), ""},
		{"a diamond", on("a", at+"b,"+at+"c") + "---\n" + on("b", at+"d") + "---\n" + on("c", at+"d") + "---\n" + configMap("d"), ""},
		{"itself", on("a", at+"a"), "a.yaml:6: ConfigMap/default/a: metadata.annotations[config.kubernetes.io/depends-on]: depends on itself"},
		{"a circle", on("a", at+"b") + "---\n" + on("b", at+"c") + "---\n" + on("c", at+"b"),
			"a.yaml:13: ConfigMap/default/b: metadata.annotations[config.kubernetes.io/depends-on]: waits for itself: it depends on ConfigMap/default/c in a.yaml:15, which depends on it"},
		{"two circles", on("a", at+"b") + "---\n" + on("b", at+"a") + "---\n" + on("c", at+"d") + "---\n" + on("d", at+"c"),
			`a.yaml:6: ConfigMap/default/a: metadata.annotations[config.kubernetes.io/depends-on]: waits for itself: it depends on ConfigMap/default/b in a.yaml:8, which depends on it
a.yaml:20: ConfigMap/default/c: metadata.annotations[config.kubernetes.io/depends-on]: waits for itself: it depends on ConfigMap/default/d in a.yaml:22, which depends on it`},
		{"what is not there", on("a", at+"b"), "a.yaml:6: ConfigMap/default/a: metadata.annotations[config.kubernetes.io/depends-on]: depends on ConfigMap/default/b, which is not declared in this commit"},
		{"a kind that is not there", on("a", "/namespaces/default/Deployment/b"), `depends on Deployment/default/b, which is not declared in this commit; group "" has no kind Deployment`},
		{"not the form", on("a", "ConfigMap/b"), `a.yaml:6: ConfigMap/default/a: metadata.annotations[config.kubernetes.io/depends-on]: "ConfigMap/b" is not of the form group/kind/name or group/namespaces/namespace/kind/name`},
		{"no namespace", on("a", "apps/Deployment/b"), `"apps/Deployment/b" names no namespace: write apps/namespaces/NAMESPACE/Deployment/b`},
		{"a namespace too many", on("a", "/namespaces/default/Namespace/b"), `"/namespaces/default/Namespace/b" names a namespace, and Namespace is cluster-wide: write /Namespace/b`},
	} {
		t.Run(test.name, func(t *testing.T) { sameChecked(t, test.text, test.want) })
	}
	long := fstest.MapFS{}
	for i := range 2000 {
		long[fmt.Sprint(i, ".yaml")] = &fstest.MapFile{Data: []byte(on(fmt.Sprint("c", i), at+fmt.Sprint("c", (i+1)%2000)))}
	}
	if got := mistakesOf(t, long); strings.Count(got, "\n") != 0 || !strings.Contains(got, ", which depends on 1995 more, which depends on it") {
		t.Errorf("a circle of 2000: got %.1000s", got)
	}
	every := on("c1999", at+"c0")
	for i := range 1999 {
		every = strings.TrimSuffix(every, "\n") + "," + at + fmt.Sprint("c", i) + "\n"
	}
	long["1999.yaml"].Data = []byte(every) // each with one object less
	if got := mistakesOf(t, long); strings.Count(got, "\n") != 1998 {
		t.Errorf("1999 circles: got %d: %.1000s", 1+strings.Count(got, "\n"), got)
	}
}
