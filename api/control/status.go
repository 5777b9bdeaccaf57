package control

import (
	"slices"
	"time"

	"writ/reconcile"
)

// SchemaVersion is the version of every document that the socket and `-o json` give.
const SchemaVersion = "writ.dev/v1"

// Status is what `writ status` shows.
type Status struct {
	Schema   string    `json:"schema"`
	At       time.Time `json:"at"`
	Node     string    `json:"node"`
	Version  string    `json:"version"`
	Revision string    `json:"revision"`

	Source  Source  `json:"source"`
	Adopted *Commit `json:"adopted,omitempty"` // nil before the first adoption
	// Newest is the newest commit seen when it is not the adopted one.
	Newest *Commit `json:"newest,omitempty"`
	// Held says why Newest is not adopted; empty while it is being worked on. Mistakes are the lines.
	Held      string     `json:"held,omitempty"`
	HeldSince *time.Time `json:"heldSince,omitempty"`
	Mistakes  []string   `json:"mistakes,omitempty"`
	Warnings  []string   `json:"warnings,omitempty"`

	Standing
	Troubles []Trouble `json:"troubles,omitempty"`
	Objects  []Object  `json:"objects"`
	Counts   Counts    `json:"counts"`
	// Archived is how many containers have an image from a node's folder of archives, for which no registry answers.
	Archived int `json:"archived,omitempty"`
	// Healthy is true when the newest commit is adopted, every object of it is healthy and the node is not impaired.
	Healthy bool `json:"healthy"`
}

// Impaired says that some part of the node cannot do its work. A repository that is away is no such
// part: the cluster runs on without it.
func (s *Status) Impaired() bool {
	return slices.ContainsFunc(s.Troubles, func(t Trouble) bool { return t.Component != "sync" })
}

// Source is the followed repository.
type Source struct {
	URL       string    `json:"url"` // without credentials
	Ref       string    `json:"ref"`
	Path      string    `json:"path,omitempty"`
	LastCheck time.Time `json:"lastCheck,omitzero"`
}

// Commit is a commit of the followed repository.
type Commit struct {
	Hash      string    `json:"hash"`
	Subject   string    `json:"subject"`
	Author    string    `json:"author"`
	Committed time.Time `json:"committed"`
	Adopted   time.Time `json:"adopted,omitzero"`
	Digest    string    `json:"digest,omitempty"`
}

// Trouble is something that does not work now and is tried again.
type Trouble struct {
	Component string    `json:"component"` // "sync", "store", "network", "runtime", "dns"
	What      string    `json:"what"`
	Since     time.Time `json:"since,omitzero"`
}

// Health is how an object is doing: reconcile.State in words.
type Health string

// The words that the commands tell apart.
const (
	Healthy    Health = "Healthy"
	Stored     Health = "Stored"
	Suspended  Health = "Suspended"
	Unenforced Health = "Unenforced"
	NotStarted Health = "NotStarted"
	Degraded   Health = "Degraded"
	Missing    Health = "Missing"
)

// Bad says that a person has to look.
func (h Health) Bad() bool {
	return h == Unenforced || h == NotStarted || h == Degraded || h == Missing
}

// Fine says that nobody has to wait or to look.
func (h Health) Fine() bool { return h == Healthy || h == Stored || h == Suspended }

// Object is one object of the adopted commit.
type Object struct {
	Kind      string `json:"kind"`
	Group     string `json:"group,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Health    Health `json:"health"`
	Reason    string `json:"reason,omitempty"`
	Ready     string `json:"ready,omitempty"` // "2/3" for what has replicas
	// Rolling is how far a rollout is, nil for what is not on its way.
	Rolling *reconcile.Rolling `json:"rolling,omitempty"`
	Path    string             `json:"path,omitempty"`   // where it is written
	Line    int                `json:"line,omitempty"`   // counted from 1
	Commit  string             `json:"commit,omitempty"` // that last changed it
}

// Counts of objects by health.
type Counts map[Health]int

// Bad is how many a person has to look at.
func (c Counts) Bad() int {
	n := 0
	for h, k := range c {
		if h.Bad() {
			n += k
		}
	}
	return n
}

// Fine is how many nobody has to wait for.
func (c Counts) Fine() int {
	n := 0
	for h, k := range c {
		if h.Fine() {
			n += k
		}
	}
	return n
}
