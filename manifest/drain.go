package manifest

// DrainAnnotation, when "true" on a Node, cordons it and evicts its Pods, as far as their budgets allow.
const DrainAnnotation = "writ.dev/drain"

// Drains says that a Node is to be emptied.
func Drains(o Object) bool { return o.GetAnnotations()[DrainAnnotation] == "true" }

// drainFlaws adds values that mean nothing, and other kinds.
func (n *needs) drainFlaws(p *parsed) {
	value, said := p.Object.GetAnnotations()[DrainAnnotation]
	switch field := annotation(DrainAnnotation); {
	case !said:
	case p.Ref.Kind != "Node" || p.Ref.Group != "":
		n.flaw(field, "only a Node can be drained; a "+p.Ref.Kind+" cannot")
	default:
		n.truthFlaw(field, value)
	}
}
