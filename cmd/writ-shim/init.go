package main

import (
	"os"
	"runtime"

	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // C code that enters namespaces before Go starts
)

// init is the way into a container: the library runs this program again as
// "writ-shim init" and has to be first on the main thread.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		runtime.GOMAXPROCS(1)
		runtime.LockOSThread()
		if !startLoader() {
			os.Exit(exitError)
		}
		libcontainer.Init()
	}
}
