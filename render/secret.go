package render

import (
	"bytes"
	"errors"

	"writ/manifest"
	"writ/render/wire"
)

// secrets is what came up for one unit when its child read encrypted files.
type secrets struct {
	secrecy  *manifest.Secrecy // of what the child was given, nil if nothing was encrypted
	mistakes manifest.Mistakes // files that were not opened
}

// clear answers with what a file says, be it encrypted or not.
func (s *server) clear(ask wire.Ask, data []byte) (wire.Answer, []byte) {
	reader := s.unit.Source.Path
	if s.unit.Chart != nil {
		reader = "" // writ.yaml, whose authors say where everything goes
	}
	text, secrecy, err := manifest.Open(s.decrypter, ask.Path, reader, data)
	switch {
	case errors.Is(err, manifest.ErrUnavailable):
		s.away = err
		return wire.Answer{Refused: "cannot be decrypted now"}, nil
	case err != nil:
		s.secrets.mistakes = append(s.secrets.mistakes, manifest.Mistake{Source: manifest.Source{Path: ask.Path, Line: sopsLine(data)}, What: err.Error()})
		return wire.Answer{Refused: "cannot be decrypted"}, nil
	case len(text) > maxFile:
		return wire.Answer{Refused: "is larger than 8 MiB once it is decrypted"}, nil
	case secrecy != nil:
		if s.secrets.secrecy == nil {
			s.secrets.secrecy = &manifest.Secrecy{}
		}
		s.secrets.secrecy.Add(*secrecy)
	}
	return wire.Answer{Kind: wire.File, Path: ask.Path}, text
}

// sopsLine is the line of a file's SOPS metadata, 0 if it is not found.
func sopsLine(data []byte) int {
	line := 0
	for l := range bytes.Lines(data) {
		line++
		if bytes.HasPrefix(bytes.TrimLeft(l, " \t\"["), []byte("sops")) {
			return line
		}
	}
	return 0
}

// settle is a rendering with what came up about secrets. A child is ended that knows what is not for
// another unit: clear text, or a refusal that holds for this one only.
func (w *worker) settle(r manifest.Rendering) (manifest.Rendering, error) {
	s := w.files.secrets
	if s.secrecy != nil || len(s.mistakes) > 0 || w.files.fetched > maxBases {
		w.stop()
	}
	if w.files.away != nil {
		return manifest.Rendering{}, w.files.away
	}
	if len(s.mistakes) > 0 {
		r = manifest.Rendering{Inputs: r.Inputs, Mistakes: s.mistakes}
	}
	r.Secrecy = s.secrecy
	return r, nil
}
