package manifest

import "testing"

func TestCheck_Probes(t *testing.T) {
	with := func(more string) string { return app("a", "containers:\n- name: c\n  image: c\n"+more) }
	for _, test := range []struct{ name, text, want string }{
		{"a port that is there", with("  ports: [{name: web, containerPort: 80}]\n  livenessProbe: {httpGet: {port: web}}\n  readinessProbe: {tcpSocket: {port: web}}\n"), ""},
		{"by number", with("  livenessProbe: {httpGet: {port: 80}}\n  startupProbe: {grpc: {port: 80}}\n"), ""},
		{"http", with("  livenessProbe: {httpGet: {port: web}}\n"),
			`a.yaml:12: Deployment/default/a: spec.template.spec.containers[0].livenessProbe.httpGet.port: Invalid value: "web": container c has no port of that name`},
		{"tcp", with("  ports: [{name: web, containerPort: 80}]\n  readinessProbe: {tcpSocket: {port: admin}}\n"),
			`a.yaml:13: Deployment/default/a: spec.template.spec.containers[0].readinessProbe.tcpSocket.port: Invalid value: "admin": container c has no port of that name`},
		{"of another container", with("  startupProbe: {httpGet: {port: web}}\n- name: d\n  image: d\n  ports: [{name: web, containerPort: 80}]\n"),
			`a.yaml:12: Deployment/default/a: spec.template.spec.containers[0].startupProbe.httpGet.port: Invalid value: "web": container c has no port of that name`},
		{"beside what the rules say", with("  imagePullPolicy: Sometimes\n  livenessProbe: {httpGet: {port: web}}\n  readinessProbe: {httpGet: {port: no_name}}\n"),
			"a.yaml:12: Deployment/default/a: spec.template.spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"\n" +
				"a.yaml:13: Deployment/default/a: spec.template.spec.containers[0].livenessProbe.httpGet.port: Invalid value: \"web\": container c has no port of that name\n" +
				"a.yaml:14: Deployment/default/a: spec.template.spec.containers[0].readinessProbe.httpGet.port: Invalid value: \"no_name\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"},
		{"hook", with("  lifecycle: {preStop: {httpGet: {port: web}}}\n"),
			`a.yaml:12: Deployment/default/a: spec.template.spec.containers[0].lifecycle.preStop.httpGet.port: Invalid value: "web": container c has no port of that name`},
		{"tcp hook", with("  lifecycle: {postStart: {tcpSocket: {port: 80}}}\n"),
			"warning: a.yaml:12: Deployment/default/a: spec.template.spec.containers[0].lifecycle.postStart.tcpSocket: Kubernetes takes this kind of hook and cannot run it, so it always fails: the container is killed each time it has started"},
		{"init container", app("a", "initContainers: [{name: i, image: i, restartPolicy: Always, livenessProbe: {httpGet: {port: web}}}]\n"+plain),
			`a.yaml:9: Deployment/default/a: spec.template.spec.initContainers[0].livenessProbe.httpGet.port: Invalid value: "web": container i has no port of that name`},
		{"debug containers", with("ephemeralContainers: [{name: e, image: e}]\n"),
			"a.yaml:12: Deployment/default/a: spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"},
		{"debug containers of a pod", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: c}]\n  ephemeralContainers: [{name: e, image: e}]\n",
			"a.yaml:6: Pod/default/p: spec.ephemeralContainers: Forbidden: cannot be set on create"},
	} {
		t.Run(test.name, func(t *testing.T) { sameChecked(t, test.text, test.want) })
	}
}

// A signal of one's own is kept although upstream has it behind a gate that is off.
func TestLoad_StopSignal(t *testing.T) {
	set := mustLoad(t, tree(t, "-- a.yaml --\n"+app("a", "os: {name: linux}\ncontainers: [{name: c, image: c, lifecycle: {stopSignal: SIGUSR1}}]")), nil)
	item, _ := set.Get(Ref{Group: "apps", Kind: "Deployment", Namespace: "default", Name: "a"})
	c := Template(item.Object).Spec.Containers[0]
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil || *c.Lifecycle.StopSignal != "SIGUSR1" {
		t.Errorf("lifecycle is %v, want SIGUSR1 as its stop signal", c.Lifecycle)
	}
}
