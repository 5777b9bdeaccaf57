// Package dns answers the cluster's names on this node: A, AAAA, SRV, PTR and TXT of Services and
// Pods from the View in memory, everything else forwarded to the node's own resolvers and cached.
//
// It never guesses: while no commit is adopted it answers SERVFAIL, never NXDOMAIN, since a client
// would remember the latter. It never asks the network about a name of the cluster, and it keeps no
// state but a cache.
//
// Invariant: an answer follows from one View alone; equal View and question give equal answers.
package dns
