package wire

import "time"

// MaxLine is the largest request or answer line in bytes, newline included.
const MaxLine = 1 << 20

// MaxFDs is the largest number of descriptors that travel with one line.
const MaxFDs = 16

// Operations of a Request.
const (
	OpStart    = "start"
	OpStop     = "stop"
	OpList     = "list"
	OpEvents   = "events"
	OpShutdown = "shutdown"
	OpReexec   = "reexec"
	OpHold     = "hold"
	OpTake     = "take"
	OpDrop     = "drop"
	OpHolds    = "holds"
	OpExits    = "exits"
	OpForget   = "forget"
)

// Restart policies of a Service.
const (
	RestartAlways = "always"
	RestartNever  = "never"
)

// States of a supervised service.
const (
	StateRunning = "running"
	StateBackoff = "backoff"
	StateStopped = "stopped"
)

// Error codes of an Error. System errors keep the name of their errno, such as EADDRINUSE.
const (
	CodeInvalid  = "Invalid"
	CodeNotFound = "NotFound"
	CodeInternal = "Internal"
)

// Request is one line from a client.
type Request struct {
	Op string `json:"op"`
	// Service is what start starts.
	Service *Service `json:"service,omitempty"`
	// Name is the service that stop stops.
	Name string `json:"name,omitempty"`
	// Signal is what stop sends first: 15 if it is zero.
	Signal int `json:"signal,omitempty"`
	// GraceMillis is how long stop waits before it kills.
	GraceMillis int64 `json:"graceMillis,omitempty"`
	// StopServices makes shutdown stop every service first.
	StopServices bool `json:"stopServices,omitempty"`
	// Path is the program that reexec runs in keep's place.
	Path string `json:"path,omitempty"`
	// Key names what hold, take and drop work on.
	Key string `json:"key,omitempty"`
	// FDs is how many descriptors travel with the line.
	FDs int `json:"fds,omitempty"`
	// Since makes exits leave out records up to this sequence number.
	Since uint64 `json:"since,omitempty"`
	// PID and StartTime name the record that forget drops.
	PID       int    `json:"pid,omitempty"`
	StartTime uint64 `json:"startTime,omitempty"`
}

// Answer is one line to a client. Exactly one of OK and Error is set, except on
// the lines of a stream, which carry Event, Exit or Sync after a first OK.
type Answer struct {
	OK    bool   `json:"ok,omitempty"`
	Error *Error `json:"error,omitempty"`
	// Existing says that start found the service running with the same spec.
	Existing bool     `json:"existing,omitempty"`
	Services []Status `json:"services,omitempty"`
	Holds    []Hold   `json:"holds,omitempty"`
	// FDs is how many descriptors travel with the line.
	FDs   int     `json:"fds,omitempty"`
	Event *Status `json:"event,omitempty"`
	Exit  *Exit   `json:"exit,omitempty"`
	// Sync marks the end of the records that existed when a stream began.
	Sync bool `json:"sync,omitempty"`
}

// Error is why a request failed.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Service is the spec of a supervised program. Two specs that are equal field
// by field are the same: start then leaves the running program alone.
type Service struct {
	Name        string   `json:"name"`
	Argv        []string `json:"argv"`
	Env         []string `json:"env,omitempty"`
	Dir         string   `json:"dir,omitempty"`
	UID         int      `json:"uid,omitempty"`
	GID         int      `json:"gid,omitempty"`
	Groups      []int    `json:"groups,omitempty"`
	AmbientCaps []int    `json:"ambientCaps,omitempty"`
	// Log is the file that takes standard output and error; empty discards both.
	Log    string   `json:"log,omitempty"`
	Listen []Socket `json:"listen,omitempty"`
	// Cgroups are absolute cgroup folders; the program joins each before it runs.
	Cgroups []string `json:"cgroups,omitempty"`
	Restart string   `json:"restart,omitempty"`
	// BackoffMinMillis and BackoffMaxMillis bound the pause before a second
	// and later restart; zero means 100 and 10,000.
	BackoffMinMillis int64 `json:"backoffMinMillis,omitempty"`
	BackoffMaxMillis int64 `json:"backoffMaxMillis,omitempty"`
	// StopGraceMillis is how long a replaced or shut down program has before it is killed; zero means 10,000.
	StopGraceMillis int64 `json:"stopGraceMillis,omitempty"`
}

// Socket is a listening socket that keep opens and the service inherits.
type Socket struct {
	Name string `json:"name"`
	// Network is tcp, tcp4, tcp6, udp, udp4, udp6 or unix.
	Network string `json:"network"`
	Address string `json:"address"`
	// Mode is the file mode of a unix socket; zero means 0600.
	Mode uint32 `json:"mode,omitempty"`
}

// Status is the state of one service.
type Status struct {
	Name      string    `json:"name"`
	State     string    `json:"state"`
	PID       int       `json:"pid,omitempty"`
	StartTime uint64    `json:"startTime,omitempty"`
	Restarts  int       `json:"restarts,omitempty"`
	Since     time.Time `json:"since"`
	LastExit  *Exit     `json:"lastExit,omitempty"`
}

// Hold is one held set of descriptors.
type Hold struct {
	Key string `json:"key"`
	FDs int    `json:"fds"`
}

// Exit is how a process ended.
type Exit struct {
	Seq uint64 `json:"seq"`
	PID int    `json:"pid"`
	// StartTime is field 22 of /proc/pid/stat, in clock ticks since boot.
	StartTime uint64 `json:"startTime"`
	// ExitCode is the code, or 128+Signal for a process that a signal ended.
	ExitCode int       `json:"exitCode"`
	Signal   int       `json:"signal,omitempty"`
	Time     time.Time `json:"time"`
}
