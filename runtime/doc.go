// Package runtime makes the Pods that are bound to this node run: sandbox, volumes,
// images, containers, probes, hooks and the way out, through one writ-shim a Pod.
//
// It never decides where a Pod runs, never routes or names it, never deletes a
// record, and never touches a sandbox that it does not know while no commit is
// adopted. What it observes it states as the node's own facts.
//
// Invariant: what is done next follows from the View, what was observed, and the
// time (Steps), and every step may be repeated; so a daemon that was killed goes on
// where it was, and a container that runs as declared is never restarted.
package runtime
