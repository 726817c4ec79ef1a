// Package keep speaks to knarr-keep, the supervisor of a node: it starts and
// stops the services of Knarr there. The protocol is described in
// runtime/keep/wire; this is its other end, in a module of its own.
package keep

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Service is a supervised program. Two equal specs are the same service:
// starting it again leaves the running program alone.
type Service struct {
	Name        string   `json:"name"`
	Argv        []string `json:"argv"`
	Env         []string `json:"env,omitempty"`
	Dir         string   `json:"dir,omitempty"`
	UID         int      `json:"uid,omitempty"`
	GID         int      `json:"gid,omitempty"`
	AmbientCaps []int    `json:"ambientCaps,omitempty"`
	// Log takes standard output and error.
	Log     string   `json:"log,omitempty"`
	Listen  []Socket `json:"listen,omitempty"`
	Cgroups []string `json:"cgroups,omitempty"`
	Restart string   `json:"restart,omitempty"`
	// StopGraceMillis is how long the program has to end by itself.
	StopGraceMillis int64 `json:"stopGraceMillis,omitempty"`
}

// Socket is a listening socket that keep opens and holds across restarts.
type Socket struct {
	Name    string `json:"name"`
	Network string `json:"network"`
	Address string `json:"address"`
}

// Status is the state of a service.
type Status struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts,omitempty"`
	Since    time.Time `json:"since"`
	LastExit *struct {
		ExitCode int       `json:"exitCode"`
		Signal   int       `json:"signal,omitempty"`
		Time     time.Time `json:"time"`
	} `json:"lastExit,omitempty"`
}

// Running tells whether the program runs now.
func (s Status) Running() bool { return s.State == "running" }

// Error is keep's refusal. Code is an errno's name, such as EADDRINUSE, or
// Invalid, NotFound, Internal.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

type request struct {
	Op           string   `json:"op"`
	Service      *Service `json:"service,omitempty"`
	Name         string   `json:"name,omitempty"`
	GraceMillis  int64    `json:"graceMillis,omitempty"`
	StopServices bool     `json:"stopServices,omitempty"`
}

type answer struct {
	OK       bool     `json:"ok"`
	Error    *Error   `json:"error"`
	Existing bool     `json:"existing"`
	Services []Status `json:"services"`
}

// maxLine bounds an answer, as the protocol does.
const maxLine = 1 << 20

// Client asks the keep behind a socket. Each call is a connection of its own;
// it is safe for concurrent use.
type Client struct{ Socket string }

func (c Client) call(ctx context.Context, r request) (answer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return answer{}, fmt.Errorf("reach knarr-keep: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return answer{}, fmt.Errorf("ask knarr-keep to %s: %w", r.Op, err)
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxLine)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return answer{}, errors.Join(fmt.Errorf("knarr-keep's answer to %s: %w", r.Op, err), ctx.Err())
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("knarr-keep's answer to %s: %w", r.Op, err)
	}
	if a.Error != nil {
		return answer{}, a.Error
	}
	return a, nil
}

// Start starts a service, or finds it running with the same spec (existing),
// or replaces one of another spec.
func (c Client) Start(ctx context.Context, s Service) (existing bool, err error) {
	a, err := c.call(ctx, request{Op: "start", Service: &s})
	return a.Existing, err
}

// Stop ends a service and forgets it; one that is not there is no error.
func (c Client) Stop(ctx context.Context, name string, grace time.Duration) error {
	_, err := c.call(ctx, request{Op: "stop", Name: name, GraceMillis: grace.Milliseconds()})
	var refused *Error
	if errors.As(err, &refused) && refused.Code == "NotFound" {
		return nil
	}
	return err
}

// List tells how every service stands.
func (c Client) List(ctx context.Context) ([]Status, error) {
	a, err := c.call(ctx, request{Op: "list"})
	return a.Services, err
}

// Shutdown ends keep, after its services where that is asked for.
func (c Client) Shutdown(ctx context.Context, services bool) error {
	_, err := c.call(ctx, request{Op: "shutdown", StopServices: services})
	return err
}
