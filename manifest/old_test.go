package manifest

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
)

const oldBody = `kind: %s
metadata: {name: a, labels: {app: a}}
spec:%s
  template:
    metadata: {labels: {app: a, tier: b}}
    spec: {containers: [{name: c, image: c, ports: [{containerPort: 80}]}]}
`

// TestLoad_OldWorkloads: what an old version leaves out is filled in, and changing the apiVersion to the
// new one changes nothing.
func TestLoad_OldWorkloads(t *testing.T) {
	selector := "\n  selector: {matchLabels: {app: a, tier: b}}"
	for _, test := range []struct{ old, kind, extra string }{
		{"extensions/v1beta1", "Deployment", ""},
		{"extensions/v1beta1", "Deployment", "\n  strategy: {type: Recreate}"},
		{"extensions/v1beta1", "Deployment", "\n  replicas: 0\n  strategy: {rollingUpdate: {maxSurge: 3}}"},
		{"extensions/v1beta1", "DaemonSet", ""},
		{"extensions/v1beta1", "ReplicaSet", "\n  replicas: 4"},
		{"apps/v1beta1", "Deployment", ""},
		{"apps/v1beta1", "StatefulSet", "\n  serviceName: a"},
		{"apps/v1beta2", "Deployment", ""},
		{"apps/v1beta2", "DaemonSet", ""},
		{"apps/v1beta2", "ReplicaSet", ""},
		{"apps/v1beta2", "StatefulSet", "\n  serviceName: a\n  volumeClaimTemplates: [{metadata: {name: v}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]"},
	} {
		t.Run(test.old+" "+test.kind, func(t *testing.T) {
			read := func(version, selector string) *file {
				f := mustRead("a.yaml", "", []byte("apiVersion: "+version+"\n"+fmt.Sprintf(oldBody, test.kind, selector+test.extra)))
				if len(f.mistakes) > 0 || len(f.objects) != 1 {
					t.Fatalf("%d objects, mistakes:\n%s", len(f.objects), f.mistakes)
				}
				return f
			}
			old, now := read(test.old, selector), read("apps/v1", selector)
			a, b := old.objects[0], now.objects[0]
			if a.Ref != b.Ref || !equality.Semantic.DeepEqual(a.Object, b.Object) || a.digest != b.digest {
				t.Errorf("old:\n%v\nnew:\n%v", a.Object, b.Object)
			}
			if w := old.warnings.Error(); w != fmt.Sprintf("a.yaml:1: %s: apiVersion: %s of %s is no longer served by Kubernetes and was converted; write apps/v1", a.Ref, test.old, test.kind) {
				t.Errorf("warnings: %s", w)
			}
			if test.old == "apps/v1beta2" {
				return // it asks for the selector
			}
			short := read(test.old, "")
			if short.objects[0].digest != b.digest {
				t.Errorf("without a selector:\n%v\nwith one:\n%v", short.objects[0].Object, b.Object)
			}
			if w := short.warnings.Error(); !strings.HasSuffix(w, "write apps/v1, and spec.selector: {matchLabels: {app: a,tier: b}}") {
				t.Errorf("warnings: %s", w)
			}
		})
	}
}

// TestLoad_OldForms compares the old form of a manifest with the new one that people are told to write.
func TestLoad_OldForms(t *testing.T) {
	for _, test := range []struct{ name, old, now string }{
		{"ingress of extensions", "extensions/v1beta1\nkind: Ingress\nmetadata: {name: a}\nspec: {backend: {serviceName: s, servicePort: 8080}, rules: [{host: h, http: {paths: [{path: /x, backend: {serviceName: s, servicePort: web}}]}}]}",
			"networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {defaultBackend: {service: {name: s, port: {number: 8080}}}, rules: [{host: h, http: {paths: [{path: /x, pathType: ImplementationSpecific, backend: {service: {name: s, port: {name: web}}}}]}}]}"},
		{"ingress", "networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: a}\nspec: {tls: [{hosts: [h]}], rules: [{http: {paths: [{backend: {serviceName: s, servicePort: 80}}]}}]}",
			"networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {tls: [{hosts: [h]}], rules: [{http: {paths: [{pathType: ImplementationSpecific, backend: {service: {name: s, port: {number: 80}}}}]}}]}"},
		{"network policy", "extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}", "networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}"},
		{"cron job", "batch/v1beta1\nkind: CronJob\nmetadata: {name: a}\nspec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}}}",
			"batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}}}"},
		{"disruption budget", "policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {minAvailable: 1, selector: {matchLabels: {a: b}}}", "policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {minAvailable: 1, selector: {matchLabels: {a: b}}}"},
		{"role", "rbac.authorization.k8s.io/v1beta1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{apiGroups: [''], resources: [pods], verbs: [get]}]", "rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{apiGroups: [''], resources: [pods], verbs: [get]}]"},
		{"role binding", "rbac.authorization.k8s.io/v1alpha1\nkind: ClusterRoleBinding\nmetadata: {name: a}\nroleRef: {kind: ClusterRole, name: a}\nsubjects: [{kind: ServiceAccount, name: s, namespace: default}]", "rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: a}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: a}\nsubjects: [{kind: ServiceAccount, name: s, namespace: default}]"},
		{"storage class", "storage.k8s.io/v1beta1\nkind: StorageClass\nmetadata: {name: a}\nprovisioner: p", "storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: a}\nprovisioner: p"},
		{"priority class", "scheduling.k8s.io/v1beta1\nkind: PriorityClass\nmetadata: {name: a}\nvalue: 5", "scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: a}\nvalue: 5"},
		{"runtime class", "node.k8s.io/v1beta1\nkind: RuntimeClass\nmetadata: {name: a}\nhandler: h", "node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {name: a}\nhandler: h"},
		{"lease", "coordination.k8s.io/v1beta1\nkind: Lease\nmetadata: {name: a}\nspec: {holderIdentity: x}", "coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: a}\nspec: {holderIdentity: x}"},
		{"autoscaler v2beta2", "autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}",
			"autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]}"},
		{"autoscaler v2beta1", `autoscaling/v2beta1
kind: HorizontalPodAutoscaler
metadata: {name: a}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, minReplicas: 2, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, targetAverageUtilization: 50}}, {type: Pods, pods: {metricName: p, targetAverageValue: 1k}},
  {type: Object, object: {target: {kind: Service, name: s}, metricName: o, targetValue: 10}}, {type: External, external: {metricName: e, metricSelector: {matchLabels: {x: z}}, targetAverageValue: 3}},
  {type: ContainerResource, containerResource: {name: memory, container: c, targetAverageValue: 1Gi}}]}`, `autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: a}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, minReplicas: 2, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}, {type: Pods, pods: {metric: {name: p}, target: {type: AverageValue, averageValue: 1k}}},
  {type: Object, object: {describedObject: {kind: Service, name: s}, metric: {name: o}, target: {type: Value, value: 10}}}, {type: External, external: {metric: {name: e, selector: {matchLabels: {x: z}}}, target: {type: AverageValue, averageValue: 3}}},
  {type: ContainerResource, containerResource: {name: memory, container: c, target: {type: AverageValue, averageValue: 1Gi}}}]}`},
		{"definition", "apiextensions.k8s.io/v1beta1\nkind: CustomResourceDefinition\nmetadata: {name: ws.example.com}\nspec: {group: example.com, version: v1, scope: Cluster, names: {kind: W, plural: ws}}",
			"apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: ws.example.com}\nspec: {group: example.com, scope: Cluster, names: {kind: W, plural: ws}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}"},
		{"a list", "extensions/v1beta1\nkind: NetworkPolicyList\nitems: [{metadata: {name: a}, spec: {podSelector: {}}}]", "networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			old := mustRead("a.yaml", "", []byte("apiVersion: "+test.old))
			now := mustRead("a.yaml", "", []byte("apiVersion: "+test.now))
			if len(old.mistakes)+len(now.mistakes) > 0 || len(old.objects) != 1 || len(now.objects) != 1 {
				t.Fatalf("old: %s\nnew: %s", old.mistakes, now.mistakes)
			}
			a, b := old.objects[0], now.objects[0]
			if a.Ref != b.Ref || a.digest != b.digest {
				t.Errorf("old:\n%v\nnew:\n%v", a.Object, b.Object)
			}
			version, _, _ := strings.Cut(test.old, "\n")
			if w := old.warnings.Error(); !strings.Contains(w, "apiVersion: "+version+" of ") || !strings.Contains(w, "write "+GVK(a.Ref).GroupVersion().String()) {
				t.Errorf("warnings: %s", w)
			}
			if w := now.warnings.Error(); strings.Contains(w, "no longer served") {
				t.Errorf("warnings of the new form: %s", w)
			}
		})
	}
}

func TestLoad_OldVersionsAreChecked(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"pod security policy", "policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: a}", "a.yaml:2: PodSecurityPolicy/a: kind: PodSecurityPolicy was removed from Kubernetes; label each namespace with the Pod Security level that took its place (pod-security.kubernetes.io/enforce: baseline or restricted)"},
		{"pod security policy of extensions", "extensions/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: a}", "a.yaml:2: PodSecurityPolicy/a: kind: PodSecurityPolicy was removed"},
		{"unknown field", "extensions/v1beta1\nkind: Ingress\nmetadata: {name: a}\nspec:\n  defaultBackend: {}", `a.yaml:5: Ingress/default/a: unknown field "spec.defaultBackend"`},
		{"wrong type", "autoscaling/v2beta1\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec:\n  maxReplicas: many", `a.yaml:5: HorizontalPodAutoscaler/default/a: spec.maxReplicas: must be a whole number, found string "many"`},
		{"selector that does not match", "apps/v1beta1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {x: z}}\n  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: c}]}}",
			"`selector` does not match template `labels` (converted from apps/v1beta1 to apps/v1)"},
		{"selector that the version asks for", "apps/v1beta2\nkind: Deployment\nmetadata: {name: a}\nspec:\n  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: c}]}}",
			"spec.selector: Required value"},
		{"a version that never was", "extensions/v1\nkind: ReplicaSet\nmetadata: {name: a}", "apiVersion: extensions/v1 has no kind \"ReplicaSet\"; write apiVersion: apps/v1, kind: ReplicaSet"},
		{"a kind that the version does not have", "apps/v1beta1\nkind: DaemonSet\nmetadata: {name: a}", "apiVersion: apps/v1beta1 is not served for DaemonSet; write apiVersion: apps/v1"},
		{"twice, in two versions", "extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {podSelector: {}}",
			"a.yaml:6: NetworkPolicy/default/a: is declared twice, first in a.yaml:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := mistakesOf(t, tree(t, "-- a.yaml --\napiVersion: "+test.text)); !strings.Contains(got, test.want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

// TestOldVersions_EveryoneOfUpstreamIsRead: a version that upstream can convert is never refused.
func TestOldVersions_EveryoneOfUpstreamIsRead(t *testing.T) {
	count := 0
	for gk, k := range kinds {
		for gvk := range k.scheme.AllKnownTypes() {
			if gvk.Kind != gk.Kind || gvk.Version == "__internal" || gvk.Group != gk.Group && gvk.Group != "extensions" || gvk.Group == "" || k.reads(gvk.Version) && gvk.Group == gk.Group {
				continue
			}
			if gvk.Group == "extensions" && movedTo[gvk.Kind] != gk.Group {
				continue
			}
			count++
			if storedKind(gvk) != k || !k.isOld(gvk) {
				t.Errorf("%s is not read as %s", gvk, k.gvk)
			}
		}
	}
	if count < 35 {
		t.Errorf("upstream has %d old versions, is the test blind?", count)
	}
}
