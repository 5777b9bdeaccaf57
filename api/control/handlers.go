package control

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// How often a watched status is given: at most and at least. The latter is for what is no part of the
// World, such as the age of a trouble.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = time.Second
)

// status gives one document, or with watch=1 one a line at every change. With commit=HASH it also tells
// whether that one is superseded.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("watch") == "" {
		reply(w, s.now(r))
		return
	}
	w.Header().Set("Content-Type", "application/json-seq")
	out := json.NewEncoder(w)
	for {
		changed := s.worlds.Changed(s.worlds.World().Revision())
		if out.Encode(s.now(r)) != nil {
			return
		}
		flush(w)
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-time.After(mostPause):
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(leastPause):
		}
	}
}

func (s *Server) now(r *http.Request) Status {
	status := Report(s.worlds.World(), s.daemon.Facts(), time.Now())
	commit := r.FormValue("commit")
	if commit != "" && (status.Adopted == nil || !strings.HasPrefix(status.Adopted.Hash, commit)) {
		status.SupersededBy = s.daemon.Superseded(r.Context(), commit)
	}
	return status
}

func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json-seq")
	out, watch := json.NewEncoder(w), r.FormValue("watch") != ""
	after := uint64(0)
	for {
		events, last := s.events.Told(r.FormValue("namespace"), after)
		for i := range events {
			if out.Encode(&events[i]) != nil {
				return
			}
		}
		if !watch {
			return
		}
		flush(w)
		after = last
		select {
		case <-r.Context().Done():
			return
		case <-s.events.Changed(after):
		}
	}
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	world := s.worlds.World()
	kind, name := r.FormValue("kind"), r.FormValue("name")
	if kind == "" {
		limit, err := strconv.Atoi(cmp.Or(r.FormValue("limit"), "0"))
		if err != nil || limit < 0 {
			refuse(w, http.StatusBadRequest, fmt.Errorf("limit %q is not a number of commits", r.FormValue("limit")))
			return
		}
		reply(w, Commits(s.daemon.History(limit), world.Adopted().Commit))
		return
	}
	found, err := find(world, kind, r.FormValue("namespace"), name)
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	entries, ok := Revisions(world, found)
	if !ok {
		refuse(w, http.StatusBadRequest, fmt.Errorf("history %s: a Deployment, StatefulSet or DaemonSet has revisions, a CronJob has runs; without an object, history shows the adopted commits", found.Ref))
		return
	}
	reply(w, entries)
}

func (s *Server) tree(w http.ResponseWriter, r *http.Request) {
	reply(w, Tree(s.worlds.World(), r.FormValue("namespace")))
}

// Target is a pod that a command meant, with its containers.
type Target struct {
	Namespace  string   `json:"namespace"`
	Pod        string   `json:"pod"`
	Containers []string `json:"containers"`
	Running    bool     `json:"running"` // and not on its way out
}

// pods resolves an object to the pods below it.
func (s *Server) pods(w http.ResponseWriter, r *http.Request) {
	world := s.worlds.World()
	found, err := find(world, r.FormValue("kind"), r.FormValue("namespace"), r.FormValue("name"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	targets := below(world, found)
	if len(targets) == 0 {
		refuse(w, http.StatusNotFound, fmt.Errorf("%s has no pods", found.Ref))
		return
	}
	reply(w, targets)
}

func below(world *state.World, r *state.Record) []Target {
	if r.Ref.Kind == "Pod" {
		t := Target{Namespace: r.Ref.Namespace, Pod: r.Ref.Name, Running: r.PodStatus().Phase == corev1.PodRunning && r.Deletion == nil}
		for _, c := range r.Pod().Spec.Containers {
			t.Containers = append(t.Containers, c.Name)
		}
		return []Target{t}
	}
	var targets []Target
	if r.Ref.Kind == "Service" {
		for p := range world.Select("", "Pod", r.Ref.Namespace, manifest.Selector(r.Object)) {
			targets = append(targets, below(world, p)...)
		}
		return targets
	}
	for o := range world.Owned(r.UID) {
		targets = append(targets, below(world, o)...)
	}
	return targets
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	q := LogQuery{
		Namespace: r.FormValue("namespace"), Pod: r.FormValue("pod"), Container: r.FormValue("container"),
		Follow: r.FormValue("follow") != "", Previous: r.FormValue("previous") != "", Timestamps: r.FormValue("timestamps") != "",
		Tail: -1,
	}
	if v := r.FormValue("tail"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("tail %q is not a number", v))
			return
		}
		q.Tail = n
	}
	if v := r.FormValue("since"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("since %q is not a duration", v))
			return
		}
		q.Since = d
	}
	w.Header().Set("Trailer", troubleTrailer)
	out := &lazyWriter{w: w}
	if err := s.containers.Logs(r.Context(), q, out); err != nil && r.Context().Err() == nil {
		if !out.begun {
			refuse(w, http.StatusNotFound, err)
			return
		}
		w.Header().Set(troubleTrailer, err.Error())
	}
}

func (s *Server) down(w http.ResponseWriter, r *http.Request) {
	s.ending.Add(1)
	defer s.ending.Done()
	out := &lazyWriter{w: w}
	if err := s.daemon.Down(r.Context(), r.FormValue("purge") != "", out); err != nil {
		if !out.begun {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		fmt.Fprintf(out, "error: %v\n", err)
	}
}

func (s *Server) sync(w http.ResponseWriter, r *http.Request) {
	if err := s.daemon.Sync(r.Context()); err != nil {
		refuse(w, http.StatusBadGateway, err)
	}
}

// lazyWriter sends every write at once, and knows whether there was one.
type lazyWriter struct {
	w     http.ResponseWriter
	begun bool
}

func (l *lazyWriter) Write(p []byte) (int, error) {
	l.begun = true
	n, err := l.w.Write(p)
	flush(l.w)
	return n, err
}

func flush(w io.Writer) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

// find is the record of an object named as people do: kind in any of its usual forms.
func find(w *state.World, kind, namespace, name string) (*state.Record, error) {
	gk, ok := manifest.ParseKind(kind)
	if !ok {
		return nil, fmt.Errorf("%q is not a kind that is known here", kind)
	}
	ref := manifest.Ref{Group: gk.Group, Kind: gk.Kind, Name: name}
	if manifest.IsNamespaced(gk) {
		ref.Namespace = namespace
	}
	if r := w.Get(ref); r != nil {
		return r, nil
	}
	var near []string
	for r := range w.List(gk.Group, gk.Kind, "") {
		if r.Ref.Name == name {
			near = append(near, r.Ref.Namespace)
		}
	}
	if len(near) > 0 {
		slices.Sort(near)
		return nil, fmt.Errorf("there is no %s; there is one of that name in namespace %s (say -n %s)", ref, near[0], near[0])
	}
	return nil, fmt.Errorf("there is no %s", ref)
}
