package admit

import "hash/fnv"

// Suffix is upstream's five random characters, derived: equal seeds give equal names.
func Suffix(seed ...string) string {
	h := fnv.New64a()
	for _, s := range seed {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	n := h.Sum64()
	n ^= n >> 29 // the low bits of FNV alone are close together for close seeds
	n *= 0xbf58476d1ce4e5b9
	n ^= n >> 32
	var out [5]byte
	for i := range out {
		out[i] = alphabet[n%uint64(len(alphabet))]
		n /= uint64(len(alphabet))
	}
	return string(out[:])
}
