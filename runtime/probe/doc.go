// Package probe asks a container how it is: over HTTP, TCP, gRPC or by a command,
// with Kubernetes' delays, periods and thresholds.
//
// It never acts on an answer; it reports what changed. Everything it reaches is
// reached from the namespace of the caller.
//
// Invariant: a verdict changes only after its threshold, and the first probe
// runs as soon as its initial delay has passed.
package probe
