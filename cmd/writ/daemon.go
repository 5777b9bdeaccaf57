package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"writ/api/control"
	"writ/manifest"
	noderuntime "writ/runtime"
	"writ/state"
	"writ/state/event"
)

// Facts is what status shows beside the World.
func (n *node) Facts() control.Facts {
	source, report := n.mirror.State(), n.loop.Report()
	f := control.Facts{
		Node: n.cfg.node, Version: version,
		Source:   control.Source{URL: source.URL, Ref: source.Ref, Path: source.Path, LastCheck: source.Checked},
		Warnings: texts(report.Warnings),
		Notes:    map[manifest.Ref][]string{},
		Places:   n.place(),
	}
	newest := n.newest(report, source)
	if newest.Commit != "" {
		f.Newest = &control.Commit{Hash: newest.Commit, Subject: newest.Subject, Author: newest.Author, Committed: newest.Committed}
	}
	f.Standing = control.Standing{
		Stages: control.StagesOf(newest), Suspended: report.Suspend, Deletes: control.Names(report.Deletes), Allow: report.Add,
	}
	switch {
	case source.Refused != nil: // it is newer than what the loop knows
		f.Held, f.Standing.Deletes, f.Standing.Allow = source.Refused.Why.Text, nil, ""
	case report.Adopted:
	case len(report.Mistakes) > 0:
		f.Held, f.Mistakes = fmt.Sprintf("%d mistakes", len(report.Mistakes)), texts(report.Mistakes)
		f.Warnings = texts(report.Hints) // what the author of the fix has to know; those of the adopted commit come back with it
		if len(report.Mistakes) == 1 {
			f.Held = "a mistake"
		}
	case report.Held != "":
		f.Held = report.Held
	case report.Unread != "":
		f.Held = report.Unread
	}
	f.Warnings = slices.Concat(f.Warnings, n.signersWarning(), n.refusedArchives())
	if f.Held != "" {
		f.HeldSince = report.Since
	}
	if source.Refused != nil {
		f.HeldSince = source.Refused.Why.Since
	}
	for _, note := range report.Notes {
		text := note.What
		if note.Field != "" {
			text = note.Field + ": " + text
		}
		f.Notes[note.Ref] = append(f.Notes[note.Ref], text)
	}
	f.Troubles = n.troubles()
	return f
}

// refusedArchives are the files of the archive folder that are no images, and why.
func (n *node) refusedArchives() []string {
	list, err := n.images.Archives()
	var lines []string
	if err != nil {
		lines = append(lines, err.Error())
	}
	for _, a := range list {
		if a.Err != nil {
			lines = append(lines, fmt.Sprintf("image archive %s is refused: %v", a.File, a.Err))
		}
	}
	return lines
}

func (n *node) troubles() []control.Trouble {
	var troubles []control.Trouble
	if t := n.mirror.State().Trouble; t != nil {
		troubles = append(troubles, control.Trouble{Component: "sync", What: t.Text, Since: t.Since})
	}
	if r := n.loop.Report(); r.Trouble != "" {
		troubles = append(troubles, control.Trouble{Component: "reconcile", What: r.Trouble, Since: r.TroubleSince})
	}
	if t := n.network.Trouble(); t != "" {
		troubles = append(troubles, control.Trouble{Component: "network", What: t, Since: n.network.TroubleSince()})
	}
	if t := n.dns.Trouble(); t != "" {
		troubles = append(troubles, control.Trouble{Component: "dns", What: t, Since: n.dns.TroubleSince()})
	}
	return troubles
}

// place finds where objects of the adopted commit are written.
func (n *node) place() func(manifest.Ref) (manifest.Source, bool) {
	set := n.loop.Set()
	if set == nil {
		return nil
	}
	return func(ref manifest.Ref) (manifest.Source, bool) {
		item, ok := set.Get(ref)
		if ok && len(item.NotYet) > 0 { // the field that stops it
			return manifest.Source{Path: item.Source.Path, Line: item.NotYet[0].Line}, true
		}
		return item.Source, ok
	}
}

func texts(mistakes manifest.Mistakes) []string {
	lines := make([]string, len(mistakes))
	for i, m := range mistakes {
		lines[i] = m.String()
	}
	return lines
}

// Sync looks at the repository now.
func (n *node) Sync(ctx context.Context) error { return n.mirror.Sync(ctx) }

// Down ends every pod, then the parts of the daemon, then what they set in the kernel. It goes on when
// whoever asked has gone: a node that is half down helps nobody. It may be asked for again after an error.
func (n *node) Down(ctx context.Context, purge bool, out io.Writer) error {
	if !n.going.TryLock() {
		return errors.New("down: it is on its way already")
	}
	defer n.going.Unlock()
	select {
	case <-n.stopped:
		return errors.New("down: the daemon is stopping")
	default:
	}
	return n.down(context.WithoutCancel(ctx), purge, out)
}

func (n *node) down(ctx context.Context, purge bool, out io.Writer) error {
	began := time.Now()
	fmt.Fprintln(out, "stopping pods")
	if err := n.endPods(ctx, purge); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	n.stop()
	<-n.stopped
	fmt.Fprintln(out, "undoing the network")
	if err := n.network.Down(ctx); err != nil {
		return fmt.Errorf("down: %w", err)
	}
	n.report("sockets", n.sockets.Release())
	n.purge = purge // not before: the data folder knows what there is to undo
	fmt.Fprintf(out, "down after %s\n", time.Since(began).Round(10*time.Millisecond))
	return nil
}

// endPods gives up when the daemon itself is stopped: nobody is left to end them.
func (n *node) endPods(ctx context.Context, purge bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-n.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := n.runtime.Down(ctx, purge)
	select {
	case <-n.ending:
		return errors.New("the daemon was stopped meanwhile")
	default:
		return err
	}
}

// told gives the socket the events in its own words.
type told struct{ *event.Ring }

func (t told) Told(namespace string, after uint64) ([]state.Event, uint64) {
	entries, last := t.List(event.Filter{Namespace: namespace, After: after})
	events := make([]state.Event, len(entries))
	for i, e := range entries {
		events[i] = e.Event
	}
	return events, last
}

// containers gives the socket the runtime in its own words.
type containers struct{ r *noderuntime.Runtime }

func (c containers) Logs(ctx context.Context, q control.LogQuery, out io.Writer) error {
	o := noderuntime.LogOptions{Follow: q.Follow, Previous: q.Previous, Timestamps: q.Timestamps, Tail: q.Tail}
	if q.Since > 0 {
		o.Since = time.Now().Add(-q.Since)
	}
	return c.r.Logs(ctx, q.Namespace, q.Pod, q.Container, o, out)
}

func (c containers) Exec(ctx context.Context, q control.ExecQuery, s control.ExecStreams) (int, error) {
	if q.Attach {
		if !q.Input {
			s.Stdin = nil
		}
		return c.r.Attach(ctx, noderuntime.ExecOptions{
			Namespace: q.Namespace, Pod: q.Pod, Container: q.Container,
			Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Resize: s.Resize,
		})
	}
	return c.r.Exec(ctx, noderuntime.ExecOptions{
		Namespace: q.Namespace, Pod: q.Pod, Container: q.Container, Command: q.Command, TTY: q.Terminal,
		Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Resize: s.Resize,
	})
}
