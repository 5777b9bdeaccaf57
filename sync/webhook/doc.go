// Package webhook hears from a forge that something was pushed, and passes on the hint to look now.
//
// It reads a payload only to check that it comes from somebody who knows the secret, and trusts nothing
// in it: not which repository, branch or commit it names. What is followed, and whether it may be
// adopted, is decided elsewhere.
//
// Invariant: whoever does not know the secret learns nothing and starts nothing. An unknown path, a wrong
// method, a wrong signature and a body that is too large get the same answer.
package webhook
