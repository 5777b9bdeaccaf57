// Package render turns kustomizations and charts into manifests without trusting either: each is
// rendered by a child process that owns nothing, reaches nothing and has a deadline (see sandbox), and
// that sees of the repository what it asks for. The daemon's side is here: it starts children, answers
// their questions and takes note of what they looked at, so that a later commit renders again only what
// changed. It never reads a template or a kustomization itself.
//
// The packages below it (kustomize, helm, sops) belong to the child's binary, cmd/writ-render, and
// must not be linked into the daemon.
package render
