// Package signature tells who signed a commit and whether that is trusted: PGP signatures against a
// keyring, SSH signatures against an allowed_signers file (ssh-keygen(1)), and either against keys that
// are trusted for some paths only.
//
// It looks at one commit at a time, as bytes. It knows no history and no repository, asks no key
// server, keeps no secret, and never runs gpg or ssh-keygen.
//
// Invariant: a Signer is returned only for bytes that its key signed; everything but a good signature of
// a trusted key is an error that says why.
package signature
