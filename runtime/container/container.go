// Package container owns the containers of a node, from their creation to
// their removal. What happened to a container is on the disk before anybody is
// told, and an ended process is reaped only after its exit code is, so that a
// kill of the runtime at any moment loses nothing. A container that runs
// belongs to nobody but the kernel and knarr-keep: the runtime finds it again
// by its pid and start time.
package container

import (
	"log/slog"
	"sync"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/logs"
	"github.com/knarr-io/knarr/runtime/proc"
	"github.com/knarr-io/knarr/runtime/spec"
	"github.com/knarr-io/knarr/runtime/stdio"
)

// Reasons why a container ended, as containerd gives them.
const (
	ReasonCompleted  = "Completed"
	ReasonError      = "Error"
	ReasonOOMKilled  = "OOMKilled"
	ReasonStartError = "StartError"
	ReasonUnknown    = "Unknown"
)

// Exit codes that no program gave.
const (
	codeStartError = 128
	codeUnknown    = 255
)

// Meta is what never changes about a container.
type Meta struct {
	ID        string    `json:"id"`
	SandboxID string    `json:"sandboxID"`
	ImageID   string    `json:"imageID"`
	ImageRef  string    `json:"imageRef"`
	Layers    []string  `json:"layers"`
	Created   time.Time `json:"created"`
	User      spec.User `json:"user"`
	// LogPath is the log file; empty for none.
	LogPath    string `json:"logPath,omitempty"`
	StopSignal string `json:"stopSignal"`
	Cgroup     string `json:"cgroup"`
	// Handler is the runtime handler that makes its processes.
	Handler string `json:"handler,omitempty"`
	// OwnPID says that the container has a PID namespace to itself.
	OwnPID bool `json:"ownPID"`
	// Config is the request, as protobuf.
	Config []byte `json:"config"`
}

// Status is what changes.
type Status struct {
	State    cri.ContainerState `json:"state"`
	Process  proc.ID            `json:"process"`
	Boot     string             `json:"boot,omitempty"`
	Started  time.Time          `json:"started"`
	Finished time.Time          `json:"finished"`
	ExitCode int                `json:"exitCode"`
	Reason   string             `json:"reason,omitempty"`
	Message  string             `json:"message,omitempty"`
	// Resources are the limits as last updated, as protobuf.
	Resources []byte `json:"resources,omitempty"`
}

// Container is one container.
type Container struct {
	Meta   Meta
	Config *cri.ContainerConfig

	// op serializes start, update and removal.
	op sync.Mutex

	// releasing lets one at a time give back what the container held.
	releasing sync.Mutex

	// disk orders writes of the status; final says that the end is written.
	disk  sync.Mutex
	final bool

	mu      sync.Mutex
	status  Status
	streams *stdio.Streams
	writer  *logs.Writer
	// ended is closed when the container has ended and its log is written.
	ended   chan struct{}
	drained chan struct{}
}

// Status returns what is known now.
func (c *Container) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// State returns the container's state.
func (c *Container) State() cri.ContainerState { return c.Status().State }

// Ended returns a channel that closes when the container has ended.
func (c *Container) Ended() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Streams returns the standard streams of a running container, or nil.
func (c *Container) Streams() *stdio.Streams {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.State != cri.ContainerState_CONTAINER_RUNNING {
		return nil
	}
	return c.streams
}

func (c *Container) setStatus(s Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = s
}

// logger is the manager's, with the container's ID.
func (c *Container) logger(l *slog.Logger) *slog.Logger { return l.With("container", c.Meta.ID) }
