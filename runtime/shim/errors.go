package shim

import (
	"errors"
	"fmt"
)

// Code says what kind of refusal an Error is.
type Code string

// The codes. A code this package does not know is treated as CodeInternal.
const (
	CodeInvalid     Code = "invalid"     // the request itself is wrong
	CodeUnsupported Code = "unsupported" // this shim does not know the operation
	CodeNotFound    Code = "not-found"   // no such container
	CodeExists      Code = "exists"      // the ID was used before
	CodeConflict    Code = "conflict"    // not in this state (exec in an exited one, shutdown while one runs)
	CodeStart       Code = "start"       // the process could not be started; the message is for the user
	CodeTimeout     Code = "timeout"     // it was begun, and does not end: a process that cannot be killed
	CodeInternal    Code = "internal"
)

// Error is a refusal by the shim; errors.Is matches it with the sentinels of
// this package.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// Is matches the sentinel of the same code.
func (e *Error) Is(target error) bool {
	s, ok := target.(sentinel)
	return ok && Code(s) == e.Code
}

type sentinel Code

func (s sentinel) Error() string { return "shim: " + string(s) }

// What callers branch on, with errors.Is. The text of the matching Error is
// more telling.
var (
	ErrUnsupported error = sentinel(CodeUnsupported)
	ErrNotFound    error = sentinel(CodeNotFound)
	ErrExists      error = sentinel(CodeExists)
	ErrConflict    error = sentinel(CodeConflict)
	ErrStart       error = sentinel(CodeStart)
	ErrInvalid     error = sentinel(CodeInvalid)
	ErrTimeout     error = sentinel(CodeTimeout)

	// ErrNoShim: nothing listens in the directory. Launch starts a shim that
	// takes over what runs.
	ErrNoShim = errors.New("no shim is running")
)

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
