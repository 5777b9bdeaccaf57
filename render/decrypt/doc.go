// Package decrypt opens encrypted documents with the help of a process that holds the node's keys
// (package sops, in the binary writ-render). It starts the process when a document has to be opened and
// ends it when none was for a while.
//
// It never sees a key: it hands the process the path of the file of keys, and gets clear text, which it
// keeps nowhere, and what has to be known about it. Invariant: one document is asked for at a time, and a
// process that broke off is never asked again.
package decrypt
