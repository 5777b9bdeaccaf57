package reconcile

import "time"

// Commit is what a computation needs to know of the commit that it adopts.
type Commit struct {
	Hash      string
	Tree      string // hash of the followed folder
	Branch    string // the followed branch, tag or commit
	Subject   string
	Author    string
	Committed time.Time
	// Trailers of the message, by name, every value of each.
	Trailers map[string][]string
	// Rewritten says that the adopted commit is no ancestor of this one: the branch was rewritten.
	Rewritten bool
	// Restored says that it is the adopted commit, read again after a start: only what is missing is
	// put, and whether adopting is suspended stays as it is.
	Restored bool
}
