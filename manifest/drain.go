package manifest

// DrainAnnotation, when "true" on a Node, cordons it and evicts its Pods, as far as their budgets allow.
const DrainAnnotation = "writ.dev/drain"

// Drains says that a Node is to be emptied.
func Drains(o Object) bool { return o.GetAnnotations()[DrainAnnotation] == "true" }

// drainAnnotations reports values that mean nothing, and other kinds.
func (w *whole) drainAnnotations() {
	const field = "metadata.annotations[" + DrainAnnotation + "]"
	for _, p := range w.objects {
		value, said := p.Object.GetAnnotations()[DrainAnnotation]
		switch {
		case !said:
		case p.Ref.Kind != "Node" || p.Ref.Group != "":
			w.about(p, field, "only a Node can be drained; a "+p.Ref.Kind+" cannot")
		case value != "true" && value != "false":
			w.about(p, field, `"`+value+`" must be true or false`)
		}
	}
}
