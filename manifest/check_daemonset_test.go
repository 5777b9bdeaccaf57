package manifest

import (
	"strings"
	"testing"
	"testing/fstest"
)

// How a DaemonSet may roll: by nodes that go without or by nodes that have two Pods for a while, one of them.
func TestLoad_DaemonSetRolls(t *testing.T) {
	const zero = "all.yaml:4: DaemonSet/default/agent: spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"
	tests := map[string]struct{ how, want string }{
		"both 0":                 {"{maxSurge: 0, maxUnavailable: 0}", zero},
		"both 0%":                {`{maxSurge: "0%", maxUnavailable: "0%"}`, zero},
		"the other 0 by default": {"{maxUnavailable: 0}", zero},
		"both":                   {"{maxSurge: 1, maxUnavailable: 1}", "all.yaml:4: DaemonSet/default/agent: spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"},
		"a surge":                {"{maxSurge: 1, maxUnavailable: 0}", ""},
		"missing ones":           {"{maxUnavailable: 50%}", ""},
		"by default":             {"{}", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load(fstest.MapFS{"all.yaml": {Data: []byte("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\nspec: {updateStrategy: {rollingUpdate: " + tt.how +
				"}, selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: c}]}}}\n")}}, nil)
			got := ""
			if err != nil {
				got = strings.TrimSpace(err.Error())
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
