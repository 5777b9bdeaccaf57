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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// foreign is a container that another program runs, driven by its command line.
type foreign struct {
	shim.Runtime
	id     string
	dir    string  // of the container, where the bundle is made
	cgroup string  // absolute below each hierarchy's root
	reaper *reaper // nil without a supervisor
	// privatePIDs: its processes end with its first.
	privatePIDs bool
}

// foreignPath is where the program finds its helpers.
const foreignPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// foreignVersion is the version of the runtime specification that a bundle claims: programs refuse one newer
// than they are, and pass over fields that they do not know.
const foreignVersion = "1.0.2"

const (
	// foreignLimit is how long one call of the program may take, and signalLimit one that only signals.
	foreignLimit = 2 * time.Minute
	signalLimit  = 10 * time.Second
	// outputLimit is how long what the program left running may hold its output after its end.
	outputLimit = time.Second
)

// foreignOf is the program's side of a request, nil if the container is run by the library.
func (p paths) foreignOf(r shim.StartRequest) *foreign {
	if r.Runtime == nil {
		return nil
	}
	f := &foreign{Runtime: *r.Runtime, id: r.ID, dir: p.container(r.ID)}
	if f.Root == "" {
		f.Root = filepath.Join(p.dir, "oci", f.Name)
	}
	if r.Spec != nil && r.Spec.Linux != nil {
		f.cgroup = r.Spec.Linux.CgroupsPath
		f.privatePIDs = slices.ContainsFunc(r.Spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool {
			return ns.Type == specs.PIDNamespace && ns.Path == ""
		})
	}
	return f
}

// loadForeign is foreignOf for a container that is on record.
func (p paths) loadForeign(id string) *foreign {
	var r shim.StartRequest
	if found, err := readJSON(p.request(id), &r); err != nil || !found {
		return nil
	}
	return p.foreignOf(r)
}

// foreign is foreignOf beside a reaper.
func (p *pod) foreign(r shim.StartRequest) *foreign {
	f := p.foreignOf(r)
	if f != nil {
		f.reaper = p.reaper
	}
	return f
}

// recorded is loadForeign beside a reaper.
func (p *pod) recorded(id string) *foreign {
	f := p.loadForeign(id)
	if f != nil {
		f.reaper = p.reaper
	}
	return f
}

func (f *foreign) file(name string) string { return filepath.Join(f.dir, name) }

// command is a call of the program. What it has to say goes to a file of its own: its standard error may be the container's.
func (f *foreign) command(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{"--root", f.Root, "--log", f.file("runtime.log"), "--log-format", "json"}, args...)
	cmd := exec.CommandContext(ctx, f.Path, all...)
	cmd.Dir, cmd.Env = f.dir, []string{foreignPath}
	cmd.WaitDelay = outputLimit
	return cmd
}

// call runs the program to its end and gives what it printed. The reaper leaves it alone meanwhile.
func (f *foreign) call(limit time.Duration, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if f.reaper != nil {
		defer f.reaper.begin()()
	}
	cmd := f.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := f.run(cmd); err != nil {
		return nil, fmt.Errorf("%s %s: %w", f.Name, args[0], f.why(err, errs.String()))
	}
	return out.Bytes(), nil
}

func (f *foreign) run(cmd *exec.Cmd) error {
	_ = os.Remove(f.file("runtime.log"))
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it ended well; what it left running holds its output
	}
	return err
}

// why is what the program logged last as an error, else what it printed, else err.
func (f *foreign) why(err error, printed string) error {
	data, _ := os.ReadFile(f.file("runtime.log"))
	text := ""
	for line := range strings.Lines(string(data)) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg != "" && (entry.Level == "error" || entry.Level == "fatal" || entry.Level == "") {
			text = entry.Msg
		}
	}
	if text == "" {
		text = strings.TrimSpace(printed)
	}
	if text == "" {
		return err
	}
	return errors.New(text)
}

// create makes the container, whose process then waits to be started, and returns the process's ID. The caller keeps
// the reaper away until the process is known.
func (f *foreign) create(spec *specs.Spec, stdin, stdout, stderr *os.File, console string) (int, error) {
	bundle := f.file("bundle")
	if err := errors.Join(os.MkdirAll(bundle, 0o700), os.MkdirAll(f.Root, 0o700)); err != nil {
		return 0, err
	}
	written := *spec
	written.Version = foreignVersion
	if err := writeJSON(filepath.Join(bundle, "config.json"), written, survivesKill); err != nil {
		return 0, err
	}
	args := []string{"create", "--bundle", bundle, "--pid-file", f.file("pid")}
	if console != "" {
		args = append(args, "--console-socket", console)
	}
	ctx, cancel := context.WithTimeout(context.Background(), foreignLimit)
	defer cancel()
	cmd := f.command(ctx, append(args, f.id)...)
	if stdin != nil { // a nil *os.File is not a nil reader
		cmd.Stdin = stdin
	}
	if stdout != nil {
		cmd.Stdout, cmd.Stderr = stdout, stderr
	}
	if err := f.run(cmd); err != nil {
		return 0, f.why(err, "")
	}
	return f.readPID("pid")
}

func (f *foreign) readPID(name string) (int, error) {
	data, err := os.ReadFile(f.file(name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

func (f *foreign) start() error {
	_, err := f.call(foreignLimit, "start", f.id)
	return err
}

// created reports whether the process still waits to be started.
func (f *foreign) created() bool {
	out, err := f.call(foreignLimit, "state", f.id)
	var state specs.State
	return err == nil && json.Unmarshal(out, &state) == nil && state.Status == specs.StateCreated
}

func (f *foreign) kill(sig syscall.Signal) error {
	_, err := f.call(signalLimit, "kill", f.id, strconv.Itoa(int(sig)))
	return err
}

func (f *foreign) update(r *specs.LinuxResources) error {
	if err := writeJSON(f.file("resources.json"), r, survivesKill); err != nil {
		return err
	}
	_, err := f.call(foreignLimit, "update", "--resources", f.file("resources.json"), f.id)
	return err
}

// remove forgets the container, whatever state it is in. It may be repeated.
func (f *foreign) remove() error {
	_, err := f.call(foreignLimit, "delete", "--force", f.id)
	if _, gone := os.Stat(filepath.Join(f.Root, f.id)); errors.Is(gone, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(f.file("bundle")))
}

// killAll kills what is in the container's cgroup, and then asks the program: it may hang, or not reach all of it.
func (f *foreign) killAll() {
	killIn(f.cgroup)
	_ = f.kill(unix.SIGKILL)
}
