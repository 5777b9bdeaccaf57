// Package confine compiles a container's seccomp profile once for a node
// instead of once for every container: libseccomp takes 15 ms of CPU for the
// default profile, half of a start.
//
// Nothing here compiles. Where a profile is new, libcontainer compiles and
// loads it as ever, and Harvest asks the kernel which filter that container
// got; Cache keeps it. Later containers are handed these very bytes (Hand) and
// load them at the same place: after the last step of their setup, before
// their command. A container that was to get a filter and did not never runs
// its command.
package confine
