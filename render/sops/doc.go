// Package sops is the decrypting process: it reads the node's keys, gives up everything else, and opens
// documents that the daemon hands it until the daemon hangs up. It is linked into cmd/writ-render alone,
// runs apart from the children that render, and is the only process that ever holds a key.
//
// It never reads the repository, writes no file, and never tells a value: an error names keys and their
// bindings. What a document says about key services (addresses, roles, profiles) is compared with the
// node's own file and never followed.
package sops
