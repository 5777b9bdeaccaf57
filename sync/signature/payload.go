package signature

import (
	"bytes"
	"errors"
	"strings"
)

// ErrUnsigned is the error of a commit without a signature.
var ErrUnsigned = errors.New("it is not signed")

// Split takes a commit object apart into what is signed and the signature, as git does: the signature is
// the header gpgsig, and what is signed is everything else. A signature of the commit's SHA-256 form is
// part of neither.
func Split(commit []byte) (payload []byte, armor string, err error) {
	head, body, _ := bytes.Cut(commit, []byte("\n\n"))
	var signature strings.Builder
	found, inside, other := 0, false, false
	for line := range bytes.Lines(append(head[:len(head):len(head)], '\n')) {
		value, own := bytes.CutPrefix(line, []byte("gpgsig "))
		switch {
		case line[0] == ' ' && inside:
			signature.Write(line[1:])
			continue
		case line[0] == ' ' && other:
			continue
		}
		inside, other = own, !own && bytes.HasPrefix(line, []byte("gpgsig"))
		switch {
		case own:
			found++
			signature.Write(value)
		case !other:
			payload = append(payload, line...)
		}
	}
	payload = append(append(payload, '\n'), body...)
	switch found {
	case 0:
		return nil, "", ErrUnsigned
	case 1:
		return payload, signature.String(), nil
	}
	return nil, "", errors.New("it has more than one signature")
}
