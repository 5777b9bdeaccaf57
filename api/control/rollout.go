package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// Rollout is how far an object is on its way to what its author wrote.
type Rollout struct {
	Schema    string    `json:"schema"`
	At        time.Time `json:"at"`
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Subject   string    `json:"subject,omitempty"` // of the commit that the rollout began with
	Author    string    `json:"author,omitempty"`
	Gone      bool      `json:"gone,omitempty"` // the object is not there any more
	Health    Health    `json:"health"`
	reconcile.Rolling
}

// rollout tells of one object, at every change with watch, or of every one that is on its way.
func (s *Server) rollout(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("kind") == "" {
		reply(w, Rollouts(s.worlds.World(), r.FormValue("namespace"), time.Now()))
		return
	}
	found, err := find(s.worlds.World(), r.FormValue("kind"), r.FormValue("namespace"), r.FormValue("name"))
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	if _, ok := reconcile.RollingOf(s.worlds.World(), found.Ref); !ok {
		refuse(w, http.StatusBadRequest, fmt.Errorf("rollout %s: a Deployment, StatefulSet or DaemonSet has rollouts", found.Ref))
		return
	}
	if r.FormValue("watch") == "" {
		reply(w, RolloutOf(s.worlds.World(), found.Ref, time.Now()))
		return
	}
	w.Header().Set("Content-Type", "application/json-seq")
	s.follow(w, r, found.Ref)
}

// follow sends how a rollout is, once for each time that something else is to be told.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, ref manifest.Ref) {
	out := json.NewEncoder(w)
	var last Rollout
	for {
		world := s.worlds.World()
		changed := s.worlds.Changed(world.Revision())
		now := RolloutOf(world, ref, time.Now())
		at := now.At
		if now.At = last.At; now != last {
			now.At = at
			if out.Encode(now) != nil {
				return
			}
			flush(w)
			last = now
		}
		if now.Gone {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

// RolloutOf is that of one object. It is pure.
func RolloutOf(w *state.World, ref manifest.Ref, now time.Time) Rollout {
	x := Rollout{Schema: SchemaVersion, At: now, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
	rolling, ok := reconcile.RollingOf(w, ref)
	if !ok {
		x.Gone = true
		return x
	}
	x.Rolling, x.Health = rolling, Health(rolling.Health.String())
	for _, a := range slices.Backward(w.History()) {
		if a.Commit == rolling.Commit {
			x.Subject, x.Author = a.Subject, a.Author
			break
		}
	}
	return x
}

// Rollouts are those that are on their way, by namespace, kind and name; an empty namespace stands for all.
func Rollouts(w *state.World, namespace string, now time.Time) []Rollout {
	all := []Rollout{}
	for _, kind := range []string{"DaemonSet", "Deployment", "StatefulSet"} {
		for r := range w.List("apps", kind, namespace) {
			if x := RolloutOf(w, r.Ref, now); !x.Health.Fine() {
				all = append(all, x)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Rollout) int { return strings.Compare(a.Namespace, b.Namespace) })
	return all
}
