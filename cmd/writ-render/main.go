// Command writ-render is the child that renders kustomizations and charts for writ: a binary of its
// own, so that the daemon neither holds the libraries in memory nor runs them over what a commit says.
package main

import (
	"os"

	"writ/render/child"
)

func main() { os.Exit(child.Main(os.Args[1:])) }
