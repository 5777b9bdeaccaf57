package sops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/getsops/sops/v3/logging"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"writ/render/sandbox"
	"writ/render/wire"
)

// seconds of processor time that one process may use; the daemon ends it long before when it is idle.
const seconds = 600

// timeout bounds one document, key services included.
const timeout = 20 * time.Second

// Main is the program: decrypt MEMORY KEYFILE, spoken to over standard input and output. The return value
// is its exit code.
func Main(args []string) int {
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("this program is started by writ")
	}
	memory, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	if err := private(); err != nil {
		return err
	}
	conn := wire.NewConn(os.Stdin, os.Stdout)
	os.Stdout = os.Stderr // a library that prints must not break the conversation
	logging.SetLevel(logrus.PanicLevel)
	keys, err := readKeys(args[2])
	if err != nil {
		return conn.Send(wire.Message{Ready: &wire.Ready{Refused: err.Error()}}, nil)
	}
	if err := sandbox.Enter(sandbox.Limits{Memory: memory, CPU: seconds, Network: keys.services()}); err != nil {
		return err
	}
	if err := private(); err != nil { // a new user makes the process readable again
		return err
	}
	if err := conn.Send(wire.Message{Ready: &wire.Ready{}}, nil); err != nil {
		return err
	}
	return serve(conn, keys)
}

// private keeps the process's memory from core dumps and from other processes of the same user.
func private() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("turn off core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("close the memory to others: %w", err)
	}
	return nil
}

func serve(conn *wire.Conn, keys *keyring) error {
	for {
		m, body, err := conn.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Open == nil:
			return errors.New("expected a document")
		}
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		opened, clear := keys.open(ctx, *m.Open, body)
		cancel()
		if err := conn.Send(wire.Message{Opened: &opened}, clear); err != nil {
			return err
		}
	}
}
