// Package metrics measures for HorizontalPodAutoscalers: in rounds it asks the node what the Pods concerned use of CPU
// and memory, and Prometheus for everything else, and states what it got as an observation on each autoscaler. It
// sleeps while there is no autoscaler.
//
// It never decides a size, and writes nothing but Metrics. What cannot be measured is stated too, with the reason.
//
// Invariant: one round at a time, each bounded in time whatever a server does, and nothing that a server sends is
// larger in memory than a bound.
package metrics
