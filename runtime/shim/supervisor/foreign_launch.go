package supervisor

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// launchForeign is launch by another program.
func (c *container) launchForeign(r shim.StartRequest) (shim.Container, error) {
	var process libcontainer.Process // only takes the container's ends of its streams
	s := &streams{c: c}
	defer s.close()
	if err := c.prepareOutput(r.Log); err != nil {
		return shim.Container{}, err
	}
	c.output.open()
	var console *consoleListener
	if r.Spec.Process.Terminal {
		var err error
		if console, err = listenConsole(c.foreign.file("console")); err != nil {
			return shim.Container{}, err
		}
		defer console.close()
	} else if err := s.openFIFOs(r, &process); err != nil {
		return shim.Container{}, err
	}
	if err := c.pod.entered(); err != nil {
		return shim.Container{}, err
	}
	who, err := c.createForeign(r, &process, console)
	if err != nil {
		return shim.Container{}, err
	}
	if console != nil {
		if err := console.receive(c.takeTerminal); err != nil {
			return shim.Container{}, err
		}
	}
	return c.run(who)
}

// createForeign has the container made and gets hold of its process, which comes to the shim as an orphan.
func (c *container) createForeign(r shim.StartRequest, process *libcontainer.Process, console *consoleListener) (identity, error) {
	defer c.pod.reaper.begin()()
	file := func(v any) *os.File { f, _ := v.(*os.File); return f }
	pid, err := c.foreign.create(r.Spec, file(process.Stdin), file(process.Stdout), file(process.Stderr), console.path())
	if err != nil {
		return identity{}, err
	}
	c.inherited = true
	return c.hold(pid)
}

// consoleListener is a socket over which a program hands out a terminal, by a name short enough for one.
type consoleListener struct {
	dir      *os.File
	listener *net.UnixListener
}

func listenConsole(path string) (*consoleListener, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	c := &consoleListener{dir: dir}
	_ = os.Remove(path)
	name := "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path)
	if c.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"}); err != nil {
		dir.Close()
		return nil, err
	}
	return c, nil
}

func (c *consoleListener) path() string {
	if c == nil {
		return ""
	}
	return c.listener.Addr().String()
}

// receive hands over the socket on which the terminal comes.
func (c *consoleListener) receive(take func(*os.File) error) error {
	const limit = 10 * time.Second
	_ = c.listener.SetDeadline(time.Now().Add(limit))
	conn, err := c.listener.AcceptUnix()
	if err != nil {
		return err
	}
	defer conn.Close()
	file, err := conn.File()
	if err != nil {
		return err
	}
	defer file.Close()
	return take(file)
}

func (c *consoleListener) close() {
	c.listener.Close()
	c.dir.Close()
}

// waits reports whether the process was never let go.
func (c *container) waits() bool {
	if c.foreign != nil {
		return c.foreign.created()
	}
	status, err := c.handle.Status()
	return err == nil && status == libcontainer.Created
}

// send signals the first process.
func (c *container) send(sig unix.Signal) error {
	if c.foreign != nil {
		return c.foreign.kill(sig)
	}
	return c.pidfd.signal(sig)
}
