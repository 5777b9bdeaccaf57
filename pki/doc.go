// Package pki keeps the two keys that others trust this cluster by: that of its certificate
// authority, and that which signs the tokens of ServiceAccounts. They are made once and kept.
//
// It issues nothing itself, and no private key leaves the folder or this process.
//
// Invariant: a key that was made is never replaced. One that cannot be read, or that others could read,
// is an error and not a reason to make another.
package pki
