package network

import (
	"encoding/json"
	"fmt"

	"writ/disk"
)

// writeJSON replaces a file by one that is whole. It is not synced: what it describes lives in the
// kernel and does not survive a loss of power either. Readers take a torn file for a missing one.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := disk.ReplaceUnsynced(path, append(data, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
