package usage

import (
	"bufio"
	"strings"
	"testing"
	"time"
)

func TestBusy(t *testing.T) {
	got, err := busy(bufio.NewScanner(strings.NewReader("cpu  100 20 30 4000 500 6 7 8 90 10\ncpu0 1 2 3\n")))
	if want := 1710 * time.Millisecond; err != nil || got != want {
		t.Errorf("busy for %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8\n", "cpu 1 2\n", "cpu 1 2 x 4 5 6 7 8\n"} {
		if got, err := busy(bufio.NewScanner(strings.NewReader(bad))); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
	first, err := CPU()
	if err != nil || first <= 0 {
		t.Errorf("this machine was busy for %v, %v", first, err)
	}
}
