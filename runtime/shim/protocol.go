package shim

import (
	"encoding/json"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Version is the protocol version this package speaks. It changes only when a
// shim and a daemon could not understand each other at all; everything else is
// a new operation, a new optional field, or a new entry of Hello.Features.
const Version = 1

// Op names what a request asks for.
type Op string

// The operations. OpExec and OpAttach turn the connection into a stream after
// the answer, OpEvents keeps sending answers; all others are one request, one
// answer.
const (
	OpHello      Op = "hello"       // nothing -> Hello
	OpSandbox    Op = "sandbox"     // Sandbox -> SandboxState
	OpStart      Op = "start"       // StartRequest -> Container
	OpSignal     Op = "signal"      // SignalRequest -> nothing
	OpStop       Op = "stop"        // StopRequest -> Container, when it has exited
	OpRemove     Op = "remove"      // ContainerRequest -> nothing
	OpState      Op = "state"       // nothing -> PodState
	OpStats      Op = "stats"       // nothing -> PodStats
	OpUpdate     Op = "update"      // UpdateRequest -> nothing
	OpReopenLogs Op = "reopen-logs" // ContainerRequest -> nothing
	OpPutRecord  Op = "put-record"  // Record -> nothing
	OpGetRecord  Op = "get-record"  // nothing -> Record
	OpEvents     Op = "events"      // EventsRequest -> Event, Event, ...
	OpExec       Op = "exec"        // ExecRequest -> nothing, then streams
	OpAttach     Op = "attach"      // AttachRequest -> nothing, then streams
	OpShutdown   Op = "shutdown"    // nothing -> nothing; the shim then ends
)

// Request is the first message on a connection, and after an answered
// non-streaming request the next one.
type Request struct {
	Version int             `json:"v"`
	Op      Op              `json:"op"`
	Body    json.RawMessage `json:"body,omitempty"`
}

// Response answers a Request. Body is what the operation returns; it may be
// set beside Error (a start that failed still answers with the Container).
type Response struct {
	Error *Error          `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// Hello tells who answers.
type Hello struct {
	Version     int       `json:"version"`
	Features    []string  `json:"features,omitempty"` // Feature* constants
	PID         int       `json:"pid"`
	Incarnation uint64    `json:"incarnation"` // grows by one with each shim started on the same directory
	StartedAt   time.Time `json:"startedAt"`
	Build       string    `json:"build,omitempty"` // version of the binary, for people
}

// Sandbox is what the containers of a pod share. It is set once, before the
// first Start; sending the same again is fine, sending another one is
// CodeConflict.
type Sandbox struct {
	// CgroupPath is the pod's cgroup, absolute below each hierarchy's root
	// ("/writ-node/pod<uid>"). The shim creates it (and its parents) with
	// Resources and removes it on Shutdown. Empty: no pod cgroup.
	CgroupPath string                `json:"cgroupPath,omitempty"`
	Resources  *specs.LinuxResources `json:"resources,omitempty"`

	// Hostname is set in the pod's own UTS namespace. Empty: the pod shares
	// the node's UTS namespace (hostNetwork pods do).
	Hostname string `json:"hostname,omitempty"`

	// HostIPC makes the pod share the node's IPC namespace.
	HostIPC bool `json:"hostIPC,omitempty"`

	// NetNSPath is the network namespace of the pod (a bind-mounted file the
	// daemon made). Empty: the node's. The shim never creates or deletes it.
	NetNSPath string `json:"netnsPath,omitempty"`

	// Sysctls are set in the namespaces that the pod has of its own, by name
	// with dots ("net.ipv4.tcp_rmem").
	Sysctls map[string]string `json:"sysctls,omitempty"`

	// SharePIDs gives the pod one pid namespace, whose process 1 belongs to no
	// container: "/pause" reaps what others leave (FeatureSharePIDs). PauseRoot
	// is an empty directory for its root, absolute; with Users one that the
	// namespace's root can reach.
	SharePIDs bool   `json:"sharePIDs,omitempty"`
	PauseRoot string `json:"pauseRoot,omitempty"`

	// Users gives the pod a user namespace (FeatureUsers). Its root is the
	// node's user Users.First.
	Users *IDRange `json:"users,omitempty"`

	// ProcessLabel is the SELinux label of process 1 of SharePIDs.
	ProcessLabel string `json:"processLabel,omitempty"`
}

// IDRange is a range of user and group IDs of the node.
type IDRange struct {
	First  uint32 `json:"first"`
	Length uint32 `json:"length"`
}

// SandboxState is a Sandbox that exists.
type SandboxState struct {
	Sandbox
	// IPCPath and UTSPath are the bind-mounted namespaces, empty where the
	// node's is shared.
	IPCPath   string    `json:"ipcPath,omitempty"`
	UTSPath   string    `json:"utsPath,omitempty"`
	UserPath  string    `json:"userPath,omitempty"` // where the sandbox has Users
	PIDPath   string    `json:"pidPath,omitempty"`  // where it has SharePIDs; made anew if process 1 died
	CreatedAt time.Time `json:"createdAt"`
	// Warnings say what was asked for and this machine does not allow.
	Warnings []string `json:"warnings,omitempty"`
}

// StartRequest creates a container and starts its process.
type StartRequest struct {
	// ID is unique within the pod for ever: a restart is a new ID. It is a
	// directory name: letters, digits, '-', '_', '.', at most 128 bytes.
	ID string `json:"id"`
	// Name and Attempt are the container's name in the pod and how often it
	// was started before; Labels are the daemon's. All three are only kept.
	Name    string            `json:"name"`
	Attempt int               `json:"attempt"`
	Labels  map[string]string `json:"labels,omitempty"`

	// Spec is the OCI runtime specification. The shim fills in: the path of
	// namespaces of type network, ipc and uts that have none (the sandbox's;
	// where the sandbox shares the node's, the entry is removed), the cgroup
	// path if it is empty (the sandbox's + "/" + ID). Root.Path is absolute;
	// the daemon mounted it and unmounts it after Remove. Spec.Process.Terminal
	// gives the container a terminal.
	Spec *specs.Spec `json:"spec"`

	// Runtime runs the container with another program (FeatureRuntime).
	Runtime *Runtime `json:"runtime,omitempty"`

	Log LogConfig `json:"log"`

	// Stdin keeps standard input open for Attach; without it the container
	// reads /dev/null. StdinOnce closes it when the first Attach ends.
	Stdin     bool `json:"stdin,omitempty"`
	StdinOnce bool `json:"stdinOnce,omitempty"`

	// LimitMillis is how long the start may take, a mount of a file server that is
	// gone for instance; then it is a CodeStart. 0: 2 min.
	LimitMillis int64 `json:"limitMillis,omitempty"`

	// StopSignal is what Stop sends first, as a name ("SIGTERM", "TERM") or a
	// number; empty means SIGTERM. An image's STOPSIGNAL goes here.
	StopSignal string `json:"stopSignal,omitempty"`
}

// LogConfig says where the output of a container goes: in the CRI log format
// (RFC3339Nano, stdout|stderr, F|P, text), rotated by the shim itself.
type LogConfig struct {
	// Path is the absolute path of the current file. Rotated files are
	// Path + "." + YYYYMMDD-HHMMSS. Missing parent directories are created
	// (0755). Empty: output is read and dropped.
	Path string `json:"path,omitempty"`
	// MaxSize is the size in bytes at which the file is rotated (0: 10 MiB);
	// MaxFiles is how many files are kept, the current one included (0: 5).
	MaxSize  int64 `json:"maxSize,omitempty"`
	MaxFiles int   `json:"maxFiles,omitempty"`
	// Mode of the files, 0: 0640.
	Mode uint32 `json:"mode,omitempty"`
}

// Status is where a container is in its life. It only moves forward.
type Status string

// Creating: Start has begun and not ended. Running: its process was started.
// Exited: it has ended, or never could start (Reason is ReasonStartError).
const (
	StatusCreating Status = "creating"
	StatusRunning  Status = "running"
	StatusExited   Status = "exited"
)

// Reasons of an exited container, in the words of Kubernetes.
const (
	ReasonCompleted  = "Completed"              // exit code 0
	ReasonError      = "Error"                  // any other exit
	ReasonOOMKilled  = "OOMKilled"              // exit 137 and the kernel killed in its cgroup
	ReasonStartError = "StartError"             // exit code 128, Message says why
	ReasonUnknown    = "ContainerStatusUnknown" // exit code 137, nobody saw it: a reboot, an old kernel
)

// Container is what is known about one container. It is what the shim keeps on
// disk, so an exit is never told before it is durable.
type Container struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Attempt int               `json:"attempt"`
	Labels  map[string]string `json:"labels,omitempty"`
	Status  Status            `json:"status"`

	PID      int    `json:"pid,omitempty"`      // of its first process, in the node's pid namespace; 0 unless running
	PIDStart uint64 `json:"pidStart,omitempty"` // field 22 of /proc/PID/stat: guards against a reused PID
	BootID   string `json:"bootID,omitempty"`   // of the boot it was started in

	CreatedAt  time.Time `json:"createdAt"`
	StartedAt  time.Time `json:"startedAt,omitzero"`  // zero if it never ran
	FinishedAt time.Time `json:"finishedAt,omitzero"` // zero until exited

	ExitCode  int    `json:"exitCode"`         // 0-255; 128 + signal if a signal ended it
	Signal    int    `json:"signal,omitempty"` // the signal that ended it
	OOMKilled bool   `json:"oomKilled,omitempty"`
	Reason    string `json:"reason,omitempty"`  // Reason* constants, set when exited
	Message   string `json:"message,omitempty"` // for people: why it could not start, why the code is unknown

	// StopDeadline is when a Stop in progress turns to SIGKILL; zero if none.
	StopDeadline time.Time `json:"stopDeadline,omitzero"`
	// StopUnsent is the signal of a Stop in progress as long as it was not sent; 0 if none waits.
	StopUnsent int `json:"stopUnsent,omitempty"`

	LogPath       string   `json:"logPath,omitempty"`
	LogDropped    int64    `json:"logDropped,omitempty"` // bytes of output lost to a full disk
	RestoredAt    int64    `json:"restoredAt,omitempty"` // incarnation of the shim that took it over, 0 if none did
	StartedSeq    uint64   `json:"startedSeq,omitempty"` // sequence number of its EventStarted
	ExitedSeq     uint64   `json:"exitedSeq,omitempty"`  // sequence number of its EventExited
	StartWarnings []string `json:"warnings,omitempty"`   // asked for and not possible here (oom_score_adj, rlimits)
}

// PodState is all a shim knows.
type PodState struct {
	Sandbox    *SandboxState `json:"sandbox,omitempty"` // nil before OpSandbox
	Containers []Container   `json:"containers"`        // sorted by CreatedAt, then ID
	Seq        uint64        `json:"seq"`               // of the newest event: Events(after: Seq) continues from here
}

// SignalRequest sends a signal to the first process of a running container.
type SignalRequest struct {
	ID     string `json:"id"`
	Signal string `json:"signal"` // a name or a number, as StartRequest.StopSignal
}

// StopRequest ends a container: its stop signal now, SIGKILL to everything in
// it after GraceMillis. The shim finishes what it began even when the caller
// goes away or the shim itself is replaced; a second Stop can only bring the
// deadline forward. Grace 0 kills at once. Stopping an exited container
// answers at once.
type StopRequest struct {
	ID          string `json:"id"`
	GraceMillis int64  `json:"graceMillis"`
	Signal      string `json:"signal,omitempty"` // instead of StartRequest.StopSignal
	// WaitMillis is how long after SIGKILL the answer waits; then it is
	// CodeTimeout and says which processes cannot be killed. 0: 30 s.
	WaitMillis int64 `json:"waitMillis,omitempty"`
}

// ContainerRequest names a container; an empty ID means all where that makes
// sense (OpReopenLogs).
type ContainerRequest struct {
	ID string `json:"id"`
}

// UpdateRequest changes limits of a running container, or of the pod's cgroup
// when ID is empty. Fields that are nil stay.
type UpdateRequest struct {
	ID        string                `json:"id,omitempty"`
	Resources *specs.LinuxResources `json:"resources"`
}

// Record is the daemon's own note beside the pod (the whole Pod and its
// attributes). The shim keeps the bytes over its own end, and never
// looks inside. At most MaxRecord bytes.
type Record struct {
	Data []byte `json:"data"`
}

// EventKind says what happened.
type EventKind string

// EventSync comes once, after everything older than the request was sent: from
// here on events are live. EventOOM comes just before the EventExited of a
// container whose OOMKilled is set.
const (
	EventStarted EventKind = "started"
	EventExited  EventKind = "exited"
	EventOOM     EventKind = "oom"
	EventSync    EventKind = "sync"
)

// EventsRequest asks for the events after a sequence number (0: all that are
// still remembered, which is those of every container not removed).
type EventsRequest struct {
	After uint64 `json:"after"`
}

// Event is one thing that happened. Seq only grows, also over a replaced shim;
// numbers are not contiguous. Container is as of now, not as of then.
type Event struct {
	Seq       uint64     `json:"seq"`
	Kind      EventKind  `json:"kind"`
	Time      time.Time  `json:"time"`
	Container *Container `json:"container,omitempty"` // nil for EventSync
}

// ExecRequest runs a further process in a running container, with the
// capabilities, seccomp profile, limits and cgroup of the container.
type ExecRequest struct {
	ID   string   `json:"id"`
	Args []string `json:"args"`
	// Env replaces the container's environment if it is not nil; nil inherits
	// spec.process.env. Cwd "" and User nil inherit likewise.
	Env  []string    `json:"env,omitempty"`
	Cwd  string      `json:"cwd,omitempty"`
	User *specs.User `json:"user,omitempty"`
	// TTY gives it a terminal (output is then all stdout); Width and Height
	// are its first size in characters.
	TTY    bool   `json:"tty,omitempty"`
	Width  uint16 `json:"width,omitempty"`
	Height uint16 `json:"height,omitempty"`
	// Stdin says that the client will send standard input; else /dev/null.
	Stdin bool `json:"stdin,omitempty"`
	// TimeoutMillis kills it (SIGKILL) after so long; 0: never.
	TimeoutMillis int64 `json:"timeoutMillis,omitempty"`
}

// AttachRequest streams the output of a running container from now on and, if
// it was started with Stdin, sends to it. The stream ends with the container.
type AttachRequest struct {
	ID    string `json:"id"`
	Stdin bool   `json:"stdin,omitempty"`
}

// ExecResult ends an exec or attach stream.
type ExecResult struct {
	ExitCode int    `json:"exitCode"` // 128 + signal if a signal ended it
	Signal   int    `json:"signal,omitempty"`
	TimedOut bool   `json:"timedOut,omitempty"`
	Error    *Error `json:"error,omitempty"` // the stream broke; the code means nothing
}

// Size is a terminal's, in characters. It has no name of its own, so that whoever speaks of sizes without
// knowing this package can hand on the same channel.
type Size = struct {
	Width  uint16 `json:"width"`
	Height uint16 `json:"height"`
}

// Usage is what a cgroup used.
type Usage struct {
	Time time.Time `json:"time"`
	// CPUNanos is the CPU time used since the cgroup exists, in nanoseconds.
	CPUNanos         uint64 `json:"cpuNanos"`
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledNanos   uint64 `json:"throttledNanos,omitempty"`
	// Bytes. WorkingSet is usage without inactive file pages, what Kubernetes
	// compares with limits.
	MemoryUsage      uint64 `json:"memoryUsage"`
	MemoryWorkingSet uint64 `json:"memoryWorkingSet"`
	MemoryRSS        uint64 `json:"memoryRSS"`
	MemoryLimit      uint64 `json:"memoryLimit,omitempty"` // 0: none
	PageFaults       uint64 `json:"pageFaults,omitempty"`
	MajorPageFaults  uint64 `json:"majorPageFaults,omitempty"`
	PIDs             uint64 `json:"pids"`
	PIDsLimit        uint64 `json:"pidsLimit,omitempty"`
	OOMKills         uint64 `json:"oomKills,omitempty"`
}

// ContainerStats is Usage of one running container.
type ContainerStats struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Usage
	LogDropped int64 `json:"logDropped,omitempty"`
}

// PodStats is Usage of the pod's cgroup (nil without one) and of each running
// container.
type PodStats struct {
	Pod        *Usage           `json:"pod,omitempty"`
	Containers []ContainerStats `json:"containers"`
}

// Features a shim may name in Hello, and FeatureRuntime.
const (
	FeatureExec   = "exec"
	FeatureTTY    = "tty"
	FeatureAttach = "attach"
	FeatureUpdate = "update"
	// FeatureSharePIDs and FeatureUsers: Sandbox.SharePIDs and Sandbox.Users are
	// honoured, and namespaces of type user, and of type pid where the sandbox
	// shares them, are filled in. FeatureSysctls: Sandbox.Sysctls are set.
	FeatureSharePIDs = "share-pids"
	FeatureUsers     = "users"
	FeatureSysctls   = "sysctls"
)
