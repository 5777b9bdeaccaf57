package confine

import (
	"fmt"
)

// Program is a filter in the kernel's own form: instructions of 8 bytes, struct
// sock_filter of linux/filter.h.
type Program []byte

const (
	instructionSize = 8
	maxInstructions = 4096 // BPF_MAXINSNS
)

func (p Program) check() error {
	if n := len(p); n == 0 || n%instructionSize != 0 || n > maxInstructions*instructionSize {
		return fmt.Errorf("a filter of %d bytes cannot be", n)
	}
	return nil
}
