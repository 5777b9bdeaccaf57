// Package kustomize builds one kustomization of a repository that it sees through wire.Files. It runs
// in the rendering child only. What reaches out of the repository or would run a program is found and
// told before kustomize sees it, with the line that asks for it.
package kustomize
