package manifest

import "testing"

func TestCheck_Unused(t *testing.T) {
	const custom = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: b}\n---\napiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\n---\n"
	const definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.com}\n" +
		"spec: {group: example.com, scope: Cluster, names: {kind: Widget, plural: widgets}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}\n"
	const endpoints = "apiVersion: v1\nkind: Endpoints\nmetadata:\n  name: s\nsubsets: [{addresses: [{ip: 1.2.3.4}], ports: [{port: 80}]}]\n---\n"
	for _, test := range []struct{ name, text, want string }{
		{"a kind that nobody defines", custom, "warning: a.yaml:5: Widget/a: apiVersion: no CustomResourceDefinition of this commit defines the kind Widget of example.com"},
		{"a kind that is defined", custom + definition, ""},
		{"addresses without a service", endpoints, "warning: a.yaml:4: Endpoints/default/s: metadata.name: Service/default/s is not declared in this commit: no traffic goes to these addresses"},
		{"addresses of a service", endpoints + svc("s", "ports: [{port: 80}]"), ""},
		{"addresses of a service with pods", endpoints + svc("s", "selector: {app: a}\nports: [{port: 80}]") + "---\n" + app("a", plain),
			"warning: a.yaml:4: Endpoints/default/s: metadata.name: Service/default/s in a.yaml:7 has a selector: its traffic goes to the pods, not to these addresses"},
	} {
		t.Run(test.name, func(t *testing.T) { sameChecked(t, test.text, test.want) })
	}
}
