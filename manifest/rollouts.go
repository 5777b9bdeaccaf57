package manifest

// Annotations by which the author of a Deployment, StatefulSet or DaemonSet says how it is rolled out.
const (
	// RestartOnConfigChange, when "false" on the owner or in its pod template, keeps the Pods when what they read of a
	// ConfigMap or Secret only when they start (variables, parts of volumes) changes, as Kubernetes does.
	RestartOnConfigChange = "writ.dev/restart-on-config-change"
	// RollbackOnFailure, when "true" on a Deployment, takes a rollout that misses progressDeadlineSeconds back to the
	// last template whose rollout was complete.
	RollbackOnFailure = "writ.dev/rollback-on-failure"
)

// rolloutFlaws adds values that mean nothing.
func (n *needs) rolloutFlaws(p *parsed) {
	for _, key := range []string{RestartOnConfigChange, RollbackOnFailure} {
		if value, said := p.Object.GetAnnotations()[key]; said {
			n.rolloutFlaw(p, annotation(key), key, value)
		}
	}
	if t := Template(p.Object); t != nil {
		if value, said := t.Annotations[RestartOnConfigChange]; said {
			n.rolloutFlaw(p, "spec.template."+annotation(RestartOnConfigChange), RestartOnConfigChange, value)
		}
	}
}

func (n *needs) rolloutFlaw(p *parsed, field, key, value string) {
	kind := p.Ref.GroupKind().String()
	switch {
	case key == RollbackOnFailure && kind != "Deployment.apps":
		n.flaw(field, "only a Deployment can go back; a "+p.Ref.Kind+" cannot")
	case key == RestartOnConfigChange && kind != "Deployment.apps" && kind != "StatefulSet.apps" && kind != "DaemonSet.apps":
		n.flaw(field, "a "+p.Ref.Kind+" is not rolled out")
	default:
		n.truthFlaw(field, value)
	}
}
