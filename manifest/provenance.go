package manifest

// Annotations that the API shows of every object of the repository. They are part of no record: one that is written
// itself is hidden by them.
const (
	// SourceAnnotation is where the object is written: path:line in the followed repository.
	SourceAnnotation = "writ.dev/source"
	// ChangedByAnnotation is the commit that last changed the object.
	ChangedByAnnotation = "writ.dev/changed-by"
)
