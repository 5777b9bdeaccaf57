// Package token makes the tokens of ServiceAccounts that a node's Pods carry, and says by which keys
// others can verify them.
//
// It decides nothing about what a token allows, and keeps no token.
//
// Invariant: a token is bound to one Pod (its name and UID) and one audience; nothing that a Pod could
// choose but these goes into it.
package token
