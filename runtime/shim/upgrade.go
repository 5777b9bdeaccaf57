package shim

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// OpUpgrade replaces the program of the shim while the containers go on.
const OpUpgrade Op = "upgrade" // UpgradeRequest -> Hello, of the new program

// FeatureUpgrade: the shim knows OpUpgrade.
const FeatureUpgrade = "upgrade"

// UpgradeRequest names the program that the shim is to become: the same process
// executes it. It is tried first, and taken back if it cannot take over.
type UpgradeRequest struct {
	Binary string `json:"binary"` // absolute path
}

// Upgrade makes the shim become another program. Containers, their terminals and
// their output go on; a connection that waits for events or for a stop ends with
// ErrNoShim and is to be made anew, any other request waits and is answered.
//
// It is ErrConflict while an exec or attach is open, or a container starts, ends
// or is being stopped: try again later. It is ErrUnsupported if either program
// does not know how. After any error the old program serves, or none (ErrNoShim).
func (c *Client) Upgrade(ctx context.Context, binary string) (Hello, error) {
	hello, err := call[Hello](ctx, c, OpUpgrade, UpgradeRequest{Binary: binary})
	if err != nil {
		return hello, fmt.Errorf("upgrade shim of %s: %w", c.dir, err)
	}
	return hello, hello.check()
}

// Runs reports whether the shim that said h is this very file. A file that was
// replaced by one of the same content is another: becoming it does no harm.
func (h Hello) Runs(binary string) (bool, error) {
	wanted, err := os.Stat(binary)
	if err != nil {
		return false, err
	}
	now, err := os.Stat("/proc/" + strconv.Itoa(h.PID) + "/exe")
	if err != nil {
		return false, err
	}
	return os.SameFile(now, wanted), nil
}

// Can reports whether the shim that said h has a feature.
func (h Hello) Can(feature string) bool { return slices.Contains(h.Features, feature) }
