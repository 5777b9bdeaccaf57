package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// helpers runs Docker's credential helpers: programs that are told a registry on standard input and print
// a name and a secret.
type helpers struct {
	dir     string // where they are; empty: on the daemon's PATH
	timeout time.Duration
}

// helperName keeps a name from being a path.
var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// mostHelperOutput bounds what a helper may print, in bytes.
const mostHelperOutput = 64 << 10

// get asks a helper about a registry. It is not found where the helper says that it knows nothing of it. No
// error holds anything that the helper printed.
func (h helpers) get(ctx context.Context, name, server string) (config authn.AuthConfig, found bool, err error) {
	path, err := h.path(name)
	if err != nil {
		return config, false, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout, fmt.Errorf("no answer within %v", h.timeout))
	defer cancel()
	out := &capped{left: mostHelperOutput}
	cmd := exec.CommandContext(ctx, path, "get")
	cmd.Stdin, cmd.Stdout = strings.NewReader(server+"\n"), out
	cmd.Env = helperEnvironment(os.Environ())
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with its children
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return config, false, fmt.Errorf("credential helper %s: %w", filepath.Base(path), context.Cause(ctx))
	case out.over:
		return config, false, fmt.Errorf("credential helper %s: it printed more than %d bytes", filepath.Base(path), mostHelperOutput)
	case err != nil && bytes.Contains(out.buf.Bytes(), []byte("credentials not found")):
		return config, false, nil // what all of them say by their common protocol
	case err != nil:
		return config, false, fmt.Errorf("credential helper %s: %w", filepath.Base(path), err)
	}
	return parseHelper(filepath.Base(path), out.buf.Bytes())
}

func parseHelper(name string, data []byte) (authn.AuthConfig, bool, error) {
	var said struct{ Username, Secret string }
	if err := json.Unmarshal(data, &said); err != nil {
		return authn.AuthConfig{}, false, fmt.Errorf("credential helper %s: what it printed is not JSON with Username and Secret", name)
	}
	switch {
	case said.Secret == "":
		return authn.AuthConfig{}, false, nil
	case said.Username == "<token>":
		return authn.AuthConfig{IdentityToken: said.Secret}, true, nil
	}
	return authn.AuthConfig{Username: said.Username, Password: said.Secret}, true, nil
}

// path finds the program, which must belong to root like everything that root runs.
func (h helpers) path(name string) (string, error) {
	program := "docker-credential-" + name
	var path string
	if h.dir != "" {
		path = filepath.Join(h.dir, program)
	} else {
		found, err := exec.LookPath(program)
		if err != nil {
			return "", fmt.Errorf("credential helper %s is not on the daemon's PATH", program)
		}
		path = found
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("find credential helper: %w", err)
	}
	if err := trusted(st); err != nil {
		return "", fmt.Errorf("credential helper %s is refused: %w", path, err)
	}
	return path, nil
}

// helperEnvironment leaves out what is the daemon's own affair.
func helperEnvironment(all []string) []string {
	var out []string
	for _, v := range all {
		if !strings.HasPrefix(v, "WRIT_") && !strings.HasPrefix(v, "NOTIFY_SOCKET=") && !strings.HasPrefix(v, "LISTEN_") {
			out = append(out, v)
		}
	}
	return out
}

// capped is a buffer that fails when too much is written.
type capped struct {
	buf  bytes.Buffer
	left int
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.over = true
		return 0, errors.New("too much output")
	}
	c.left -= len(p)
	return c.buf.Write(p)
}
