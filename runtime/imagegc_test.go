package runtime

import (
	"strings"
	"testing"
	"time"
)

func TestImageGC_Need(t *testing.T) {
	const capacity = 1000
	for _, c := range []struct {
		high, low       int
		available, want int64
	}{
		{85, 80, 500, 0},
		{85, 80, 160, 0},  // 84 %
		{85, 80, 151, 49}, // 84.9 %: what is free is rounded down, as kubelet has it
		{85, 80, 150, 50}, // 85 %: down to 80 %
		{85, 80, 0, 200},
		{90, 50, 100, 400},
		{100, 80, 0, 0}, // never
	} {
		gc := ImageGC{High: c.high, Low: c.low}
		d := space{capacity: capacity, available: c.available}
		if got := gc.need(d); got != c.want {
			t.Errorf("high %d low %d, %d of %d free (%d%% used): got %d, want %d", c.high, c.low, c.available, capacity, d.used(), got, c.want)
		}
	}
}

func TestImageGC_Validate(t *testing.T) {
	for _, c := range []struct {
		gc   ImageGC
		want string
	}{
		{ImageGC{}, ""},
		{ImageGC{High: 100, Low: 100}, ""},
		{ImageGC{High: 70}, ""}, // low follows
		{ImageGC{High: 101}, "percentages are 0 to 100"},
		{ImageGC{High: -1}, "percentages are 0 to 100"},
		{ImageGC{High: 50, Low: 60}, "above the 50%"},
		{ImageGC{MinAge: -time.Second}, "must not be negative"},
		{ImageGC{MinAge: time.Hour, MaxAge: time.Minute}, "below the minimum"},
	} {
		err := c.gc.validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.gc, err, c.want)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for in, want := range map[int64]string{12: "12 B", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 3 << 30: "3.0 GiB", 2 << 40: "2.0 TiB"} {
		if got := formatBytes(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
}
