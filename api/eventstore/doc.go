// Package eventstore gives upstream's API server the events that a node tells people as the storage of its registry of Events.
//
// They are in memory only. Their versions are a space of their own, which goes on growing over a restart. What is
// forgotten is not told to watchers.
package eventstore
