// Package advice tells what is allowed and better done otherwise: rules of practice, each with a name,
// that people who run clusters agree on. It looks at the objects of one commit as they are after
// defaulting. What cannot work is none of its business; package manifest reports that.
//
// It is pure, refuses nothing, and never repeats a value that may be secret. An object's annotation
// (Ignore) silences rules for that object.
package advice
