package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// quiet is what raft, its log and Badger say, on level Debug: their words are about their own inner life.
type quiet struct{ log *slog.Logger }

// Write takes one line of hclog.
func (q quiet) Write(line []byte) (int, error) {
	q.log.Debug("log", "says", string(bytes.TrimSpace(line)))
	return len(line), nil
}

func (q quiet) hclog() hclog.Logger {
	level := hclog.Off
	if q.log.Enabled(context.Background(), slog.LevelDebug) {
		level = hclog.Debug
	}
	return hclog.New(&hclog.LoggerOptions{Level: level, Output: q, DisableTime: true})
}

func (q quiet) say(format string, args []any) {
	if q.log.Enabled(context.Background(), slog.LevelDebug) {
		q.log.Debug("records", "says", strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

func (q quiet) Errorf(format string, args ...any)   { q.say(format, args) }
func (q quiet) Warningf(format string, args ...any) { q.say(format, args) }
func (q quiet) Infof(format string, args ...any)    { q.say(format, args) }
func (q quiet) Debugf(format string, args ...any)   { q.say(format, args) }
