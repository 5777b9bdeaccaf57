package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// merge is what merging a branch would do to a cluster that runs its base.
type merge struct {
	Create []manifest.Ref `json:"create"`
	Change []manifest.Ref `json:"change"`
	Delete []manifest.Ref `json:"delete"`
	// Roll is the owners whose pods are replaced by new ones.
	Roll []manifest.Ref `json:"roll"`
	// Trailer is the line that the message of the merge commit has to carry; empty for none.
	Trailer string `json:"trailer,omitempty"`
}

func (m *merge) empty() bool { return len(m.Create)+len(m.Change)+len(m.Delete)+len(m.Roll) == 0 }

// merge plans the work tree over its base with the function that plans a commit in a cluster. What
// speaks against it is a mistake of the branch.
func (c *checked) merge(before *baseline, now *looked) {
	options := reconcile.Options{Node: "node", OS: "linux", Arch: runtime.GOARCH}
	at := time.Now()
	world, set := state.NewWorld(uuid.UUID{}), before.report.Set
	if set != nil && set.Len() > 0 {
		// Restored: whether adopting is suspended changes nothing about what is compared.
		plan, err := reconcile.Adopt(world, set, reconcile.Commit{Hash: before.base.Hash, Restored: true}, at, options)
		if err == nil {
			world, _, err = state.Apply(world, plan.Batch, 1)
		}
		if err != nil {
			c.note("what merging would do cannot be told: the base cannot be adopted: " + err.Error())
			return
		}
		options.Set = set
	}
	commit := reconcile.Commit{Hash: "HEAD", Restored: true}
	plan, err := reconcile.Adopt(world, now.report.Set, commit, at, options)
	trailer := ""
	var held reconcile.Held
	if errors.As(err, &held) && len(now.report.Mistakes) == 0 {
		commit.Trailers, trailer = before.base.BranchTrailers, held.Add
		plan, err = reconcile.Adopt(world, now.report.Set, commit, at, options)
	}
	var mistakes manifest.Mistakes
	switch {
	case errors.As(err, &mistakes):
		now.report.Set.Locate(now.files, mistakes)
		c.Mistakes = append(c.Mistakes, mistakes...)
	case len(now.report.Mistakes) > 0:
		// Objects with mistakes are missing, so that neither deletions nor the plan mean anything.
	case errors.As(err, &held):
		c.Mistakes = append(c.Mistakes, manifest.Mistake{What: held.Reason})
	case err != nil:
		c.note("what merging would do cannot be told: " + err.Error())
	default:
		c.Base.Merge = summary(set, now.report.Set, world, &plan)
		if c.Base.Merge.Trailer = trailer; trailer != "" {
			c.note("a commit of the branch allows what merging deletes; the message of the merge commit has to say so too: " + trailer)
		}
	}
	if s := now.report.Set.Settings().Spec.Suspend; s.Active(at) {
		c.note("adopting is suspended by spec.suspend: " + s.String())
	}
}

func (c *checked) note(what string) { c.Notes = append(c.Notes, manifest.Mistake{What: what}) }

// summary is the difference of two commits, and whose pods the plan replaces.
func summary(before, now *manifest.Set, world *state.World, plan *reconcile.Plan) *merge {
	m := &merge{Create: []manifest.Ref{}, Change: []manifest.Ref{}, Delete: []manifest.Ref{}, Roll: []manifest.Ref{}}
	for item := range now.All() {
		old, found := get(before, item.Ref)
		switch {
		case !found:
			m.Create = append(m.Create, item.Ref)
		case old.Object != item.Object && !equality.Semantic.DeepEqual(old.Object, item.Object):
			m.Change = append(m.Change, item.Ref)
		}
	}
	if before != nil {
		for item := range before.All() {
			if _, found := now.Get(item.Ref); !found {
				m.Delete = append(m.Delete, item.Ref)
			}
		}
	}
	for i := range plan.Batch.Puts {
		put := &plan.Batch.Puts[i]
		revision := put.Ref.Kind == "ReplicaSet" || put.Ref.Kind == "ControllerRevision"
		if put.Origin == state.Derived && revision && world.Get(put.Ref) == nil {
			if owner, found := ownerOf(put.Object, put.Ref.Namespace); found && world.Get(owner) != nil {
				m.Roll = append(m.Roll, owner)
			}
		}
	}
	return m
}

func get(set *manifest.Set, ref manifest.Ref) (manifest.Item, bool) {
	if set == nil {
		return manifest.Item{}, false
	}
	return set.Get(ref)
}

// ownerOf is what made an object.
func ownerOf(o manifest.Object, namespace string) (manifest.Ref, bool) {
	c := metav1.GetControllerOfNoCopy(o)
	if c == nil {
		return manifest.Ref{}, false
	}
	group := schema.FromAPIVersionAndKind(c.APIVersion, c.Kind).Group
	return manifest.Ref{Group: group, Kind: c.Kind, Namespace: namespace, Name: c.Name}, true
}

// print prints the summary for people.
func (m *merge) print(out io.Writer) {
	if m.empty() {
		printf(out, "merging changes no object\n")
	}
	for _, part := range []struct {
		word string
		refs []manifest.Ref
	}{{"creates", m.Create}, {"changes", m.Change}, {"deletes", m.Delete}, {"rolls", m.Roll}} {
		if len(part.refs) > 0 {
			first := fmt.Sprintf("merging %-7s %3d: ", part.word, len(part.refs))
			paragraph(out, first, strings.Repeat(" ", len(first)), some(part.refs), view{}.in(""))
		}
	}
}

// some names the first of many.
func some(refs []manifest.Ref) string {
	const most = 6
	names := make([]string, 0, most+1)
	for _, ref := range refs[:min(most, len(refs))] {
		names = append(names, ref.String())
	}
	if n := len(refs) - most; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}
