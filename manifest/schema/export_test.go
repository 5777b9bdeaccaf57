package schema

// Rows is how many fields are described.
func Rows() int { return len(rows) }
