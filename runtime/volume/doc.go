// Package volume puts the volumes of a Pod on disk: empty directories, tmpfs,
// paths of the node, and files made of ConfigMaps, Secrets and the Pod itself.
//
// It never reads the World (contents come in as oci.Facts), never follows a
// symbolic link that a container could have made, and never shows a path at or
// below the daemon's own directories.
//
// Invariant: files of a projected volume change all at once. Readers see the
// old set or the new one through the `..data` link, never a mixture.
package volume
