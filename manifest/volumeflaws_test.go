package manifest

import (
	"strings"
	"testing"
)

// What is wrong with volumes is said before anything runs, at its line.
func TestVolumes_Mistakes(t *testing.T) {
	const head = "-- a.yaml --\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  serviceAccountName: default\n  containers:\n  - name: c\n    image: x\n"
	const volumes = "  volumes:\n  - {name: v, emptyDir: {}}\n"
	at := func(line, field, what string) string {
		return "a.yaml:" + line + ": Pod/default/a: spec.containers[0]." + field + ": " + what
	}
	for _, tt := range []struct{ name, container, volumes, want string }{
		{"one path twice", "    volumeMounts:\n    - {name: v, mountPath: /a}\n    - {name: v, mountPath: /a}\n", "", at("11", "volumeMounts[1].mountPath", `Invalid value: "/a": must be unique`)},
		{"a part outside", "    volumeMounts:\n    - {name: v, mountPath: /a, subPath: ../x}\n", "", at("9", "volumeMounts.subPath", `Invalid value: "../x": must not contain '..'`)},
		{"a part outside by a variable", "    env: [{name: P, value: ..}, {name: Q, value: $(P)/x}]\n    volumeMounts:\n    - {name: v, mountPath: /a, subPathExpr: a/$(Q)}\n", "",
			at("11", "volumeMounts[0].subPathExpr", `"a/$(Q)" is "a/../x" with the container's variables: it must not contain '..'`)},
		{"an absolute part by a variable", "    env: [{name: P, value: /x}]\n    volumeMounts:\n    - {name: v, mountPath: /a, subPathExpr: $(P)}\n", "",
			at("11", "volumeMounts[0].subPathExpr", `"$(P)" is "/x" with the container's variables: it must be a relative path`)},
		{"a variable that is not known yet", "    env: [{name: P, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]\n    volumeMounts:\n    - {name: v, mountPath: /a, subPathExpr: $(P)/../x/$(Q)}\n", "",
			at("10", "volumeMounts.subPathExpr", `Invalid value: "$(P)/../x/$(Q)": must not contain '..'`)},
		{"known later", "    env: [{name: P, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]\n    volumeMounts:\n    - {name: v, mountPath: /a, subPathExpr: $(P)/x}\n", "", ""},
		{"no such volume", "    volumeMounts:\n    - {name: w, mountPath: /a}\n", "", at("10", "volumeMounts[0].name", `Not found: "w"`)},
		{"propagation without privilege", "    volumeMounts:\n    - {name: v, mountPath: /a, mountPropagation: Bidirectional}\n", "",
			at("9", "volumeMounts.mountPropagation", "Forbidden: Bidirectional mount propagation is available only to privileged containers")},
		{"recursion without read-only", "    volumeMounts:\n    - {name: v, mountPath: /a, recursiveReadOnly: Enabled}\n", "",
			at("9", "volumeMounts.recursiveReadOnly", "Forbidden: may only be specified when readOnly is true")},
		{"a short token", "", "  - {name: t, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 60}}]}}\n",
			"a.yaml:11: Pod/default/a: spec.volumes[1].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes"},
		{"no image", "", "  - {name: i, image: {reference: \"\"}}\n", "a.yaml:11: Pod/default/a: spec.volumes[1].image.reference: Required value"},
		{"a name of no variable", "    env: [{name: \"a=b\", value: c}]\n", "",
			at("9", "env[0].name", `Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='`)},
	} {
		got := strings.TrimSpace(mistakesOf(t, tree(t, head+tt.container+volumes+tt.volumes)))
		if got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestConfigMap_TooLarge(t *testing.T) {
	text := func(n int) string {
		return "-- a.yaml --\n" + configMap("a") + "data: {k: \"" + strings.Repeat("x", n) + "\"}\n"
	}
	if got := mistakesOf(t, tree(t, text(1<<20))); got != "" {
		t.Errorf("1 MiB: %s", got)
	}
	if got, want := strings.TrimSpace(mistakesOf(t, tree(t, text(1<<20+1)))), "a.yaml:1: ConfigMap/default/a: []: Too long: may not be more than 1048576 bytes"; got != want {
		t.Errorf("1 MiB and a byte: %q, want %q", got, want)
	}
}
