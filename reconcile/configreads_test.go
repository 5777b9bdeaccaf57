package reconcile

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"writ/manifest"
)

func TestConfigReads(t *testing.T) {
	for name, tt := range map[string]struct{ spec, want string }{
		"nothing": {"containers: [{name: c}]", ""},
		"keys of all containers": {`
initContainers: [{name: i, env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: a}}}]}]
containers: [{name: c, env: [{name: B, valueFrom: {configMapKeyRef: {name: m, key: b}}}, {name: C, valueFrom: {secretKeyRef: {name: m, key: c}}}]}]`,
			"ConfigMap/m a/b, Secret/m c"},
		"all variables": {`containers: [{name: c, envFrom: [{configMapRef: {name: m}}, {secretRef: {name: s}}], env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: a}}}]}]`,
			"ConfigMap/m *, Secret/s *"},
		"volumes are live": {`
volumes: [{name: v, configMap: {name: m}}, {name: w, secret: {secretName: s, items: [{key: a, path: b}]}}]
containers: [{name: c, volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /w}]}]`, ""},
		"a volume of what is read by variables too": {`
volumes: [{name: v, configMap: {name: m}}, {name: w, configMap: {name: o, items: [{key: x, path: z}]}}]
containers: [{name: c, env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: a}}}, {name: B, valueFrom: {configMapKeyRef: {name: o, key: b}}}], volumeMounts: [{name: v, mountPath: /v}]}]`,
			"ConfigMap/m *, ConfigMap/o b/x"},
		"a file": {`
volumes: [{name: v, configMap: {name: m}}]
containers: [{name: c, volumeMounts: [{name: v, mountPath: /v, subPath: ./a.conf}]}]`, "ConfigMap/m a.conf"},
		"a file, and all of them": {`
volumes: [{name: v, configMap: {name: m}}]
containers: [{name: c, volumeMounts: [{name: v, mountPath: /v, subPath: a.conf}, {name: v, mountPath: /w}]}]`, "ConfigMap/m *"},
		"a folder of items": {`
volumes: [{name: v, projected: {sources: [{configMap: {name: m, items: [{key: a, path: d/a}, {key: b, path: e/b}]}}, {secret: {name: s, items: [{key: c, path: f/c}]}}]}}]
containers: [{name: c, volumeMounts: [{name: v, mountPath: /v, subPath: d}]}]`, "ConfigMap/m a/b"},
		"a part that is not known": {`
volumes: [{name: v, projected: {sources: [{configMap: {name: m}}, {secret: {name: s, items: [{key: c, path: f/c}]}}]}}]
containers: [{name: c, volumeMounts: [{name: v, mountPath: /v, subPathExpr: $(A)}]}]`, "ConfigMap/m *, Secret/s c"},
		"names that are missing": {`containers: [{name: c, env: [{name: A, valueFrom: {configMapKeyRef: {key: a}}}], envFrom: [{secretRef: {}}]}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var spec corev1.PodSpec
			if err := yaml.UnmarshalStrict([]byte(tt.spec), &spec); err != nil {
				t.Fatal(err)
			}
			read := configReads(&spec)
			var texts []string
			for _, ref := range slices.SortedFunc(maps.Keys(read), manifest.Ref.Compare) {
				texts = append(texts, ref.String()+" "+read[ref].String())
			}
			if got := strings.Join(texts, ", "); got != tt.want {
				t.Errorf("reads %q, want %q", got, tt.want)
			}
		})
	}
}
