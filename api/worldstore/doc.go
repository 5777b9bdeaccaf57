// Package worldstore gives upstream's API server the World as the storage of its registries: what it reads is the World,
// what it watches are the changes that led to it, and what it writes is refused.
//
// A read holds one World from its beginning to its end. A list in chunks holds it until the last chunk, for a bounded
// time and number. Watches of all kinds are fed by one reader; an object is made and encoded once for all watchers of
// a change, and a watcher that does not read is dropped, never waited for.
package worldstore
