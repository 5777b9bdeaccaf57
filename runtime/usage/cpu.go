package usage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CPU is the time that the node's processors were busy since it was started, of all of them together.
func CPU() (time.Duration, error) {
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return busy(bufio.NewScanner(f))
}

// busy reads the first line of /proc/stat: "cpu", then times in hundredths of a second: user, nice, system, idle,
// iowait, irq, softirq, steal, and those of guests, which are in the first two.
func busy(lines *bufio.Scanner) (time.Duration, error) {
	const hundredth, idle, iowait, guest = 10 * time.Millisecond, 3, 4, 8
	if !lines.Scan() {
		return 0, errors.Join(errors.New("/proc/stat is empty"), lines.Err())
	}
	fields := strings.Fields(lines.Text())
	if len(fields) < guest || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", lines.Text())
	}
	var sum time.Duration
	for i, text := range fields[1:] {
		if i == idle || i == iowait || i >= guest {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/stat: %w", err)
		}
		sum += time.Duration(n) * hundredth
	}
	return sum, nil
}
