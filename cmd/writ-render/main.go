// Command writ-render is the children of writ that want large libraries: one renders kustomizations and
// charts, another one opens encrypted documents. It is a binary of its own, so that the daemon neither
// holds the libraries in memory nor runs them over what a commit says.
package main

import (
	"os"

	"writ/render/child"
	"writ/render/sops"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "decrypt" {
		os.Exit(sops.Main(args))
	}
	os.Exit(child.Main(args))
}
