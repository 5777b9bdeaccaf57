package wire

// Open asks the decrypting process for the clear text of a document, the body of the frame.
type Open struct {
	Path   string `json:"path"`             // of the file in the repository
	Reader string `json:"reader,omitempty"` // what reads it, if it is not read for itself
	Format string `json:"format"`           // as SOPS calls it
}

// Opened is the answer. The clear text is the body of the frame.
type Opened struct {
	Refused string   `json:"refused,omitempty"` // why it is not opened: keys are named, values never
	Away    bool     `json:"away,omitempty"`    // refused because a key service does not answer
	Values  []string `json:"values,omitempty"`  // what was encrypted
	Uses    []Use    `json:"uses,omitempty"`
}

// Use is a key that is bound to namespaces.
type Use struct {
	Key        string   `json:"key"`
	Namespaces []string `json:"namespaces"`
}

// Ready is the first thing that the decrypting process says.
type Ready struct {
	Refused string `json:"refused,omitempty"` // what is wrong with the file of keys
}
