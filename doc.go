// Package writ is the module's root. It holds no code, only the test of the house: which package may
// import which, and which are pure (architecture_test.go).
package writ
