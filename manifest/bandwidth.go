package manifest

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// bandwidthAnnotations hold pods to a bandwidth, in bits a second.
var bandwidthAnnotations = []string{"kubernetes.io/ingress-bandwidth", "kubernetes.io/egress-bandwidth"}

var leastBandwidth, mostBandwidth = resource.MustParse("1k"), resource.MustParse("1P")

// bandwidths reports bandwidths of pods that cannot be had, in upstream's words.
func (w *whole) bandwidths() {
	for _, p := range w.objects {
		if p.pods == nil {
			continue
		}
		for _, name := range bandwidthAnnotations {
			text, ok := p.pods.annotations[name]
			if !ok {
				continue
			}
			field := strings.TrimSuffix(p.pods.path, "spec") + "metadata.annotations[" + name + "]"
			if what := badBandwidth(text); what != "" {
				w.about(p, field, fmt.Sprintf("Invalid value: %q: %s", text, what))
			} else if p.pods.spec.HostNetwork {
				w.hint(p, field, "has no effect: the pod uses the node's network")
			}
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
