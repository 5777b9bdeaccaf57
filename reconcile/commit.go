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
	// Trailers of the message, by name.
	Trailers map[string]string
	// Rewritten says that the adopted commit is no ancestor of this one: the branch was rewritten.
	Rewritten bool
}
