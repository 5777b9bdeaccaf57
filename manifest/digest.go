package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// itemDigest is the SHA-256 of one object with its kind and version.
type itemDigest [sha256.Size]byte

// digestItem is independent of where the object was written.
func digestItem(obj Object) (itemDigest, error) {
	data, err := Encode(obj)
	if err != nil {
		return itemDigest{}, err
	}
	gvk := obj.GetObjectKind().GroupVersionKind()
	h := sha256.New()
	h.Write([]byte(gvk.String() + "\n"))
	h.Write(data)
	var d itemDigest
	h.Sum(d[:0])
	return d, nil
}

// digestOf joins the settings with the digests of the objects, which are sorted by Ref.
func digestOf(settings Cluster, objects []*parsed) string {
	h := sha256.New()
	data, err := json.Marshal(settings)
	if err != nil {
		panic("manifest: encode settings: " + err.Error()) // strings only
	}
	h.Write(data)
	for _, p := range objects {
		h.Write(p.digest[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
