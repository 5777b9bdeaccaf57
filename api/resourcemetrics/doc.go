// Package resourcemetrics serves metrics.k8s.io: what pods and nodes use of CPU and memory, as kubectl top asks.
//
// Nothing is measured until somebody asks. Use of CPU is what was used between two looks; who asks first waits for the second.
package resourcemetrics
