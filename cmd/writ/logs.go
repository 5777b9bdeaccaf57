package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"writ/api/control"
)

type logFlags struct {
	clientFlags
	container                    string
	follow, previous, timestamps bool
	tail                         int
	since                        time.Duration
}

func newLogs() *cobra.Command {
	var flags logFlags
	cmd := &cobra.Command{
		Use:   "logs OBJECT",
		Short: "Print the logs of a pod, or of every pod of an object",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, targets, err := flags.targets(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			streams := flags.choose(targets)
			if len(streams) == 0 {
				return fmt.Errorf("there is no container %q in %s", flags.container, args[0])
			}
			out := cmd.OutOrStdout()
			if terminal(out) {
				out = &harmless{out: out}
			}
			return printLogs(cmd.Context(), client, streams, flags, out, cmd.ErrOrStderr())
		},
	}
	flags.add(cmd, true)
	cmd.Flags().StringVarP(&flags.container, "container", "c", "", "container; every container if empty")
	cmd.Flags().BoolVarP(&flags.follow, "follow", "f", false, "go on as lines are written")
	cmd.Flags().BoolVarP(&flags.previous, "previous", "p", false, "of the container before its last restart")
	cmd.Flags().BoolVar(&flags.timestamps, "timestamps", false, "print when each line was written")
	cmd.Flags().IntVar(&flags.tail, "tail", -1, "print this many last lines")
	cmd.Flags().DurationVar(&flags.since, "since", 0, "print what is newer than this")
	return cmd
}

// stream is one container's log.
type stream struct{ namespace, pod, container string }

func (f *logFlags) choose(targets []control.Target) []stream {
	var streams []stream
	for _, t := range targets {
		for _, c := range t.Containers {
			if f.container == "" || f.container == c {
				streams = append(streams, stream{t.Namespace, t.Pod, c})
			}
		}
	}
	return streams
}

// printLogs prints one log as it is, or several with their container before each line. A log that cannot
// be read keeps nobody from the others.
func printLogs(ctx context.Context, client *control.Client, streams []stream, f logFlags, out, errOut io.Writer) error {
	if len(streams) == 1 {
		return copyLog(ctx, client, streams[0], f, out)
	}
	var (
		mu     sync.Mutex
		failed atomic.Int32
		group  errgroup.Group
	)
	if !f.follow { // one after the other, so that lines of one container stay together
		group.SetLimit(1)
	}
	for _, s := range streams {
		group.Go(func() error {
			err := copyLog(ctx, client, s, f, &prefixed{mu: &mu, out: out, prefix: s.String()})
			if err == nil || ctx.Err() != nil {
				return ctx.Err()
			}
			failed.Add(1)
			mu.Lock()
			defer mu.Unlock()
			printf(errOut, "%s%s\n", s, err)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if n := failed.Load(); n > 0 {
		return exitCode{exitError, fmt.Sprintf("%d of %d logs could not be read", n, len(streams))}
	}
	return nil
}

func (s stream) String() string { return "[" + s.pod + "/" + s.container + "] " }

func copyLog(ctx context.Context, client *control.Client, s stream, f logFlags, out io.Writer) error {
	query := url.Values{"namespace": {s.namespace}, "pod": {s.pod}, "container": {s.container}}
	for name, on := range map[string]bool{"follow": f.follow, "previous": f.previous, "timestamps": f.timestamps} {
		if on {
			query.Set(name, "1")
		}
	}
	if f.tail >= 0 {
		query.Set("tail", strconv.Itoa(f.tail))
	}
	if f.since > 0 {
		query.Set("since", f.since.String())
	}
	body, err := client.Stream(ctx, http.MethodGet, "/v1/logs", query)
	if err != nil {
		return err
	}
	defer body.Close()
	if p, ok := out.(*prefixed); ok {
		return p.lines(body)
	}
	_, err = io.Copy(out, body)
	return err
}

// prefixed writes whole lines with their container in front.
type prefixed struct {
	mu     *sync.Mutex
	out    io.Writer
	prefix string
}

func (p *prefixed) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.out, p.prefix); err != nil {
		return 0, err
	}
	return p.out.Write(line)
}

func (p *prefixed) lines(r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			if line[len(line)-1] != '\n' {
				line = append(line[:len(line):len(line)], '\n')
			}
			if _, err := p.Write(line); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}
