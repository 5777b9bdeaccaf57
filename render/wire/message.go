package wire

import "encoding/json"

// Message is one step of the conversation; exactly one field is set.
type Message struct {
	Job    *Job    `json:"job,omitempty"`    // daemon to child
	Ask    *Ask    `json:"ask,omitempty"`    // child to daemon, any number for a job
	Answer *Answer `json:"answer,omitempty"` // daemon to child, one for each Ask
	Result *Result `json:"result,omitempty"` // child to daemon, ends the job

	Ready  *Ready  `json:"ready,omitempty"`  // decrypting process to daemon, once
	Open   *Open   `json:"open,omitempty"`   // daemon to decrypting process
	Opened *Opened `json:"opened,omitempty"` // decrypting process to daemon, one for each Open
}

// Job is one unit to render.
type Job struct {
	Kustomization string `json:"kustomization,omitempty"` // folder, slash-separated below the repository's root
	Chart         *Chart `json:"chart,omitempty"`
}

// Chart is a chart to render as a release.
type Chart struct {
	Release   string `json:"release"`
	Namespace string `json:"namespace"`
	Folder    string `json:"folder,omitempty"` // in the repository
	// Archive is, for a fetched chart, a path that no file of a repository has; the daemon answers it
	// with a .tgz. Its last part names the chart to people.
	Archive     string          `json:"archive,omitempty"`
	Values      json.RawMessage `json:"values,omitempty"`
	ValueFiles  []string        `json:"valueFiles,omitempty"` // later ones win, Values win over all
	SkipCRDs    bool            `json:"skipCRDs,omitempty"`   // what lies in crds/ is left out
	KubeVersion string          `json:"kubeVersion"`
	APIVersions []string        `json:"apiVersions"` // group/version and group/version/kind
}

// Ask is a question about the repository. The root is ".".
type Ask struct {
	Op   Op     `json:"op"`
	Path string `json:"path"`
}

// Op is what is asked.
type Op string

// The questions that there are.
const (
	Stat Op = "stat" // only what it is
	Read Op = "read" // the content of a file
	List Op = "list" // what is in a folder
	// Base asks for a remote base, by its name in a kustomization. The answer's path is a folder that no
	// path of the repository is: everything of the base is below BaseRoot of it.
	Base Op = "base"
)

// Answer tells what is at a path. The content of a file is the body of the frame.
type Answer struct {
	Kind    Kind    `json:"kind"`
	Path    string  `json:"path,omitempty"` // where it is once links are followed
	Entries []Entry `json:"entries,omitempty"`
	Refused string  `json:"refused,omitempty"` // why it is not answered
}

// Kind is what a path is.
type Kind string

// What a path can be.
const (
	Absent Kind = ""
	File   Kind = "file"
	Folder Kind = "folder"
)

// Entry is one name in a folder.
type Entry struct {
	Name   string `json:"name"`
	Folder bool   `json:"folder,omitempty"`
}

// Result is a finished job. Documents are of no use if there are Mistakes.
type Result struct {
	Documents []Document `json:"documents,omitempty"`
	Mistakes  []Note     `json:"mistakes,omitempty"`
	Warnings  []Note     `json:"warnings,omitempty"`
	Release   []byte     `json:"release,omitempty"` // of a chart: as Helm stores it, as JSON under gzip, without version, state and times
	Used      []Ask      `json:"used,omitempty"`    // what the result rests on
}

// Document is one rendered object.
type Document struct {
	Text string `json:"text"` // YAML
	Path string `json:"path"` // the file that it came from
	Line int    `json:"line"` // of the document in that file, from 1; 0 if unknown
	// Namespace is where the object goes if it names none and lives in one; empty for default.
	Namespace string `json:"namespace,omitempty"`
}

// Note is something to tell people about a place.
type Note struct {
	Path string `json:"path"`
	Line int    `json:"line,omitempty"`
	What string `json:"what"`
}
