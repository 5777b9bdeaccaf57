// Package oci turns a container of a Pod into an OCI runtime specification: its
// environment, command, user, capabilities, seccomp profile, limits and mounts.
//
// It never touches the kernel, never reads the World and never decides whether
// a container runs. What it depends on comes in as Facts; what it needs of a
// root file system (passwd, group) comes in as an fs.FS.
//
// Invariant: equal arguments give an equal specification.
package oci
