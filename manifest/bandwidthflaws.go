package manifest

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// bandwidthAnnotations hold pods to a bandwidth, in bits a second.
var bandwidthAnnotations = []string{"kubernetes.io/ingress-bandwidth", "kubernetes.io/egress-bandwidth"}

var leastBandwidth, mostBandwidth = resource.MustParse("1k"), resource.MustParse("1P")

// bandwidths adds bandwidths of pods that cannot be had, in upstream's words.
func (n *needs) bandwidths(pods *podFacts) {
	for _, name := range bandwidthAnnotations {
		text, ok := pods.annotations[name]
		if !ok {
			continue
		}
		field := strings.TrimSuffix(pods.path, "spec") + annotation(name)
		if what := badBandwidth(text); what != "" {
			n.flaw(field, fmt.Sprintf("Invalid value: %q: %s", text, what))
		} else if pods.spec.HostNetwork {
			n.warn(field, "has no effect: the pod uses the node's network")
		}
	}
}

// badBandwidth is what is wrong with a bandwidth, empty for nothing.
func badBandwidth(text string) string {
	q, err := resource.ParseQuantity(text)
	switch {
	case err != nil:
		return err.Error()
	case q.Cmp(leastBandwidth) < 0:
		return "resource is unreasonably small (< 1kbit)"
	case q.Cmp(mostBandwidth) > 0:
		return "resource is unreasonably large (> 1Pbit)"
	}
	return ""
}
