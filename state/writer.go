package state

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"

	"writ/manifest"
)

// checkWriter holds every fact of a Batch to its one writer.
func checkWriter(b Batch) error {
	if b.Writer == WriterReconcile {
		for i := range b.Puts {
			if b.Puts[i].Routed != 0 {
				return fmt.Errorf("put %s: what is routed is observed by its node, not by %s", b.Puts[i].Ref, b.Writer)
			}
			if b.Puts[i].Metrics != nil {
				return fmt.Errorf("put %s: what is measured is observed by %s, not by %s", b.Puts[i].Ref, WriterMetrics, b.Writer)
			}
		}
		return nil
	}
	if b.Writer == WriterMetrics {
		return checkMetrics(b)
	}
	if !strings.HasPrefix(string(b.Writer), "node/") {
		return fmt.Errorf("apply batch: unknown writer %q", b.Writer)
	}
	if !b.Observation() {
		return fmt.Errorf("apply batch of %s: a node only observes", b.Writer)
	}
	for i := range b.Puts {
		p := &b.Puts[i]
		if p.Metrics != nil || p.Scaling != nil {
			return fmt.Errorf("put %s: %s has no say about scaling", p.Ref, b.Writer)
		}
		if isPod(p.Ref) || isVolume(p.Ref) || p.Ref.Group == "" && p.Ref.Kind == "Node" && b.Writer == NodeWriter(Node(p.Ref.Name)) {
			continue
		}
		return fmt.Errorf("put %s: %s has no say about it", p.Ref, b.Writer)
	}
	return nil
}

// checkMetrics holds the writer of what is measured to that.
func checkMetrics(b Batch) error {
	for i := range b.Puts {
		p := &b.Puts[i]
		if !isAutoscaler(p.Ref) || p.Metrics == nil || p.Status != nil || p.Routed != 0 || p.Scaling != nil {
			return fmt.Errorf("put %s: %s only says what was measured for an autoscaler", p.Ref, b.Writer)
		}
	}
	if !b.Observation() {
		return fmt.Errorf("apply batch of %s: it only observes", b.Writer)
	}
	return nil
}

// mayObserve says whether a writer may state facts of a record: a node only of Pods that are bound to it, and of
// volumes that it has and is to remove.
func mayObserve(w Writer, r *Record) bool {
	switch {
	case w == WriterReconcile, w == WriterMetrics: // which checkMetrics keeps to autoscalers
		return true
	case isVolume(r.Ref):
		return w == NodeWriter(r.Node) && r.Deletion != nil
	}
	return !isPod(r.Ref) || w == NodeWriter(r.Node)
}

func isPod(ref manifest.Ref) bool { return ref.Group == "" && ref.Kind == "Pod" }

func isVolume(ref manifest.Ref) bool { return ref.Group == "" && ref.Kind == "PersistentVolume" }

// hasGeneration says whether upstream's strategy counts generations of a kind.
func hasGeneration(ref manifest.Ref) bool {
	switch ref.Group {
	case "":
		return ref.Kind == "Pod" || ref.Kind == "PodTemplate" || ref.Kind == "ReplicationController"
	case "storage.k8s.io":
		return ref.Kind == "CSIDriver"
	case "autoscaling", "apiregistration.k8s.io", "certificates.k8s.io", "coordination.k8s.io", "events.k8s.io",
		"node.k8s.io", "rbac.authorization.k8s.io":
		return false
	}
	return true
}

// SameSpec compares two objects without their metadata and status: what a generation counts.
func SameSpec(a, b manifest.Object) bool {
	if a == b {
		return true
	}
	x, errX := runtime.DefaultUnstructuredConverter.ToUnstructured(a)
	y, errY := runtime.DefaultUnstructuredConverter.ToUnstructured(b)
	if errX != nil || errY != nil {
		return false
	}
	for _, m := range []map[string]any{x, y} {
		for _, field := range []string{"apiVersion", "kind", "metadata", "status"} {
			delete(m, field)
		}
	}
	return equality.Semantic.DeepEqual(x, y)
}
