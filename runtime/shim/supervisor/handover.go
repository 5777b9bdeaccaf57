package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// handover is what a shim leaves to the program that it executes, in the same
// process: children stay children. Whatever else a shim knows is on disk, as
// after a kill. Like the protocol, it only grows.
type handover struct {
	Lock      int                    `json:"lock"`   // descriptors, all of them inherited
	Listener  int                    `json:"listen"` // connections wait there meanwhile
	Client    int                    `json:"client"` // who asked, and waits for the answer
	Old       int                    `json:"old"`    // the program before, and how it was called
	Args      []string               `json:"args"`
	Score     *int                   `json:"score,omitempty"` // oom_score_adj of containers that ask for none; the shim's own is another
	Keep      []int                  `json:"keep"`            // FIFOs: what is in them goes with the last holder
	Terminals map[string]handedLines `json:"terminals,omitempty"`
	// Failed is why the new program gave everything back to the old one.
	Failed string `json:"failed,omitempty"`
}

// handedLines is a container's terminal.
type handedLines struct {
	Master int    `json:"master"`
	Kept   []byte `json:"kept,omitempty"` // a line that was begun
}

// handoverFormat is what Check prints: the handover that this program takes.
const handoverFormat = "handover 1"

// handoverEnv names the descriptor that a handover is read from.
const handoverEnv = "WRIT_SHIM_HANDOVER"

const (
	checkLimit      = 10 * time.Second
	standLimit      = 250 * time.Millisecond // requests wait so long at most for a pod that is busy
	standPeriod     = time.Millisecond
	firstDescriptor = 10 // above the standard streams and what a child expects there
)

// upgrade becomes another program; it returns only if that could not be.
func (c *conversation) upgrade(r shim.UpgradeRequest) error {
	if !c.upgrading.TryLock() {
		return c.refuse(shim.Errorf(shim.CodeConflict, "another upgrade is under way"))
	}
	defer c.upgrading.Unlock()
	if !filepath.IsAbs(r.Binary) {
		return c.refuse(shim.Errorf(shim.CodeInvalid, "upgrade: %q is not an absolute path", r.Binary))
	}
	if err := c.pod.try(r.Binary); err != nil {
		return c.refuse(err)
	}
	release, err := c.stand()
	if err != nil {
		return c.refuse(err)
	}
	defer release()
	terminals, resume, err := c.pod.pauseOutput()
	defer resume()
	if err != nil {
		return c.refuse(err)
	}
	return c.refuse(c.become(r.Binary, terminals))
}

// try asks a program whether it could take over what is here.
func (p *pod) try(binary string) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkLimit)
	defer cancel()
	var said, complained bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "check", "--dir", p.dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", &said, &complained
	cmd.WaitDelay = time.Second
	end := p.reaper.begin()
	err := cmd.Run()
	end()
	if err == nil && strings.TrimSpace(said.String()) == handoverFormat {
		return nil
	}
	first, _, _ := strings.Cut(strings.TrimSpace(complained.String()), "\n")
	return shim.Errorf(shim.CodeUnsupported, "%s cannot take over: %v: %s", binary, err, first)
}

// stand makes the pod stand still: new connections wait, requests that have come
// are finished, and no container starts or ends. release sets it going again.
func (c *conversation) stand() (release func(), err error) {
	resume, err := c.pause()
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(standLimit)
	for {
		if c.fresh.Load() == 0 && c.pod.still.TryLock() {
			break
		}
		if time.Now().After(deadline) {
			resume()
			return nil, shim.Errorf(shim.CodeConflict, "the pod is busy: an exec or attach is open, or a container starts or ends")
		}
		time.Sleep(standPeriod)
	}
	release = func() { c.pod.still.Unlock(); resume() }
	if err := c.pod.mayStand(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// mayStand refuses what would not survive, or somebody waits for.
func (p *pod) mayStand() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return shim.Errorf(shim.CodeConflict, "the pod is being shut down")
	}
	for id, c := range p.containers {
		switch {
		case c.state.Status == shim.StatusCreating:
			return shim.Errorf(shim.CodeConflict, "container %q starts", id)
		case c.state.Status == shim.StatusRunning && !c.state.StopDeadline.IsZero():
			return shim.Errorf(shim.CodeConflict, "container %q is being stopped", id)
		}
	}
	return nil
}

// pauseOutput stops every copy of output between two steps. A log on a disk that
// hangs is a conflict: its thread would keep the process from becoming another.
func (p *pod) pauseOutput() (terminals map[string]handedLines, resume func(), err error) {
	p.mu.Lock()
	var running []*container
	for _, c := range p.containers {
		if c.state.Status == shim.StatusRunning && c.output != nil { // it is nil where a takeover failed early
			running = append(running, c)
		}
	}
	p.mu.Unlock()
	terminals = map[string]handedLines{}
	var undo []func()
	resume = func() {
		for _, f := range undo {
			f()
		}
	}
	if p.hung.Load() > 0 {
		return nil, resume, shim.Errorf(shim.CodeConflict, "a system call of this shim does not return")
	}
	for _, c := range running {
		kept, again, err := c.output.stand(standLimit)
		if err != nil {
			return nil, resume, shim.Errorf(shim.CodeConflict, "container %q: %v", c.id, err)
		}
		undo = append(undo, again)
		if c.terminal != nil {
			terminals[c.id] = handedLines{Kept: kept}
		}
	}
	return terminals, resume, nil
}

// become executes a program with all that it needs. It returns an error, or not
// at all.
func (c *conversation) become(binary string, terminals map[string]handedLines) error {
	old, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer old.Close()
	client, ok := c.conn.(syscall.Conn)
	if !ok {
		return errors.New("upgrade: the connection has no descriptor")
	}
	var d descriptors
	defer d.close()
	h := handover{Lock: d.dup(c.lock), Listener: d.dup(c.listener), Client: d.dup(client), Old: d.dup(old), Args: c.again, Score: &c.pod.host.defaultScore, Terminals: terminals}
	c.pod.mu.Lock()
	for id, ctr := range c.pod.containers {
		if ctr.state.Status != shim.StatusRunning {
			continue
		}
		for _, s := range ctr.output.sources {
			h.Keep = append(h.Keep, d.dup(s.file))
		}
		if file := ctr.stdin.held(); file != nil {
			h.Keep = append(h.Keep, d.dup(file))
		}
		if lines, ok := terminals[id]; ok {
			lines.Master = d.dup(ctr.terminal.master)
			terminals[id] = lines
		}
	}
	c.pod.mu.Unlock()
	if d.err != nil {
		return fmt.Errorf("upgrade: %w", d.err)
	}
	c.log.Info("shim becomes another program", "program", binary)
	return h.execute(binary, c.again)
}

// execute replaces the program of this process. The descriptors are open for it.
func (h *handover) execute(binary string, args []string) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("handover", 0)
	if err != nil {
		return fmt.Errorf("keep handover: %w", err)
	}
	file := os.NewFile(uintptr(fd), "handover")
	defer file.Close()
	if _, err := file.WriteAt(data, 0); err != nil {
		return fmt.Errorf("keep handover: %w", err)
	}
	env := append(os.Environ(), handoverEnv+"="+strconv.Itoa(fd))
	if err := syscall.Exec(binary, append([]string{binary}, args...), env); err != nil {
		return fmt.Errorf("execute %s: %w", binary, err)
	}
	return nil
}

// descriptors are copies that the next program inherits.
type descriptors struct {
	open []int
	err  error
}

func (d *descriptors) dup(of syscall.Conn) int {
	copied := -1
	var failed error
	raw, err := of.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { copied, failed = unix.FcntlInt(fd, unix.F_DUPFD, firstDescriptor) })
	}
	if err := errors.Join(err, failed); err != nil {
		d.err = errors.Join(d.err, fmt.Errorf("copy descriptor: %w", err))
		return -1
	}
	d.open = append(d.open, copied)
	return copied
}

func (d *descriptors) close() {
	for _, fd := range d.open {
		unix.Close(fd)
	}
}
