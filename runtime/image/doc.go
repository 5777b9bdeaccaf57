// Package image keeps the images of a node: it pulls them from registries, takes
// them from archives that an administrator put into a folder, unpacks every layer
// once, and stacks layers into a root filesystem.
//
// It never decides when to pull again (back-off is the caller's), never keeps a
// credential, never speaks plain HTTP to a registry that is neither on loopback nor
// named insecure, and never deletes a layer that an image still needs.
//
// Invariant: what the index names is complete and verified on disk. A layer folder
// has its final name only after its content had the digest that the image's
// configuration states and was written through; the index follows after that.
package image
