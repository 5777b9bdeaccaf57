package shim

// Runtime is a program that speaks runc's command line (create, start, state, kill, exec, update, delete) and
// runs a container in place of the built-in library. The shim still owns its streams, its log and its exit code.
type Runtime struct {
	Name string `json:"name"`
	Path string `json:"path"` // absolute
	// Root is where the program keeps its state; empty is a directory of the pod's.
	Root string `json:"root,omitempty"`
}

// FeatureRuntime says that StartRequest.Runtime is honoured. A shim without it would run the container itself.
const FeatureRuntime = "runtime"
