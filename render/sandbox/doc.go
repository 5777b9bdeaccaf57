// Package sandbox is what a rendering child puts on before it looks at anything of a repository: no
// files, no network, no new programs, no more memory and time than it was given. It is one-way. As
// root it also leaves root for good; without root the same limits and the same filter of system calls
// hold, so that `writ check` on a laptop is no weaker in what it refuses.
package sandbox
