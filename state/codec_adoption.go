package state

import (
	"encoding/json"
	"fmt"

	"writ/manifest"
)

// EncodeAdoption writes an adoption. Equal adoptions give equal bytes.
func EncodeAdoption(a *Adoption) ([]byte, error) {
	settings, err := json.Marshal(a.Settings)
	if err != nil {
		return nil, fmt.Errorf("encode adoption of %.12s: %w", a.Commit, err)
	}
	b := appendText(nil, 1, a.Commit)
	b = appendText(b, 2, a.Tree)
	b = appendText(b, 3, a.Digest)
	b = appendText(b, 4, a.Branch)
	b = appendText(b, 5, a.Subject)
	b = appendText(b, 6, a.Author)
	b = appendTime(b, 7, a.Committed)
	b = appendTime(b, 8, a.Adopted)
	b = appendNumber(b, 9, uint64(a.Revision))
	return appendBlock(b, 10, settings), nil
}

// DecodeAdoption reads what EncodeAdoption wrote. Times come back in UTC.
func DecodeAdoption(data []byte) (Adoption, error) {
	var a Adoption
	err := eachField(data, func(f field) (err error) {
		switch f.n {
		case 1:
			a.Commit = f.text()
		case 2:
			a.Tree = f.text()
		case 3:
			a.Digest = f.text()
		case 4:
			a.Branch = f.text()
		case 5:
			a.Subject = f.text()
		case 6:
			a.Author = f.text()
		case 7:
			a.Committed, err = f.time()
		case 8:
			a.Adopted, err = f.time()
		case 9:
			a.Revision = Revision(f.number)
		case 10:
			err = json.Unmarshal(f.block, &a.Settings)
		}
		return err
	})
	if err != nil {
		return Adoption{}, fmt.Errorf("decode adoption: %w", err)
	}
	return a, nil
}

// EncodeRef writes an identity; DecodeRef reads it.
func EncodeRef(ref manifest.Ref) []byte {
	b := appendText(nil, 1, ref.Group)
	b = appendText(b, 2, ref.Kind)
	b = appendText(b, 3, ref.Namespace)
	return appendText(b, 4, ref.Name)
}

// DecodeRef reads what EncodeRef wrote.
func DecodeRef(data []byte) (manifest.Ref, error) {
	var ref manifest.Ref
	err := eachField(data, func(f field) error {
		switch f.n {
		case 1:
			ref.Group = f.text()
		case 2:
			ref.Kind = f.text()
		case 3:
			ref.Namespace = f.text()
		case 4:
			ref.Name = f.text()
		}
		return nil
	})
	if err == nil && ref.Kind == "" {
		err = fmt.Errorf("it has no kind")
	}
	if err != nil {
		return manifest.Ref{}, fmt.Errorf("decode reference: %w", err)
	}
	return ref, nil
}
