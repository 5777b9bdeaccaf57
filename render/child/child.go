// Package child is the rendering process: it confines itself, then does one job after the other until
// the daemon hangs up. cmd/writ-render is nothing else.
package child

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"writ/render/helm"
	"writ/render/kustomize"
	"writ/render/sandbox"
	"writ/render/wire"
)

// Main is the program: render MEMORY SECONDS, spoken to over standard input and output. The return
// value is its exit code.
func Main(args []string) int {
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func run(args []string) error {
	if len(args) != 3 || args[0] != "render" {
		return errors.New("this program is started by writ; see `writ check`")
	}
	memory, errMemory := strconv.ParseInt(args[1], 10, 64)
	seconds, errSeconds := strconv.ParseInt(args[2], 10, 64)
	if err := errors.Join(errMemory, errSeconds); err != nil {
		return err
	}
	if err := sandbox.Enter(sandbox.Limits{Memory: memory, CPU: seconds}); err != nil {
		return err
	}
	return serve(wire.NewConn(os.Stdin, os.Stdout))
}

func serve(conn *wire.Conn) error {
	files := wire.NewFiles(conn)
	kustomizer := kustomize.New(files)
	for {
		m, _, err := conn.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Job == nil:
			return errors.New("expected a job")
		}
		files.Begin()
		result := do(files, kustomizer, m.Job)
		result.Used = files.Used()
		if err := conn.Send(wire.Message{Result: &result}, nil); err != nil {
			return err
		}
	}
}

func do(files *wire.Files, kustomizer *kustomize.Kustomizer, job *wire.Job) wire.Result {
	if job.Chart != nil {
		return helm.Build(files, *job.Chart)
	}
	return kustomizer.Build(job.Kustomization)
}
