package store

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"writ/state"
)

// digest is what a World holds, without its revision (which an epoch moves on).
func digest(t testing.TB, w *state.World) string {
	t.Helper()
	sum := sha256.New()
	n := 0
	for r := range w.Records() {
		b, err := state.EncodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(sum, "%d %x\n", len(b), b)
		n++
	}
	history := w.History()
	for i := range history {
		b, err := state.EncodeAdoption(&history[i])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(sum, "%x\n", b)
	}
	return fmt.Sprintf("%d records, %d adoptions, cluster %s, %x", n, len(history), w.Cluster(), sum.Sum(nil))
}
