package manifest

import "testing"

func TestParseKind(t *testing.T) {
	for word, want := range map[string]string{
		"deploy": "Deployment.apps", "Deployment": "Deployment.apps", "deployments": "Deployment.apps",
		"deployments.apps": "Deployment.apps", "po": "Pod", "pod": "Pod", "svc": "Service",
		"events": "Event", "events.events.k8s.io": "Event.events.k8s.io", "nosuch": "", "pods.apps": "",
	} {
		gk, ok := ParseKind(word)
		if got := gk.String(); ok != (want != "") || ok && got != want {
			t.Errorf("ParseKind(%q) = %q, %v; want %q", word, got, ok, want)
		}
	}
}
