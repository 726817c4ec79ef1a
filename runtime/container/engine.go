package container

import (
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/knarr-io/knarr/runtime/launch"
	"github.com/knarr-io/knarr/runtime/proc"
)

// Engine makes and ends the processes of containers, by their IDs. It is safe
// for concurrent use on different containers. The built-in one is
// *launch.Launcher; *oci.Runtime runs a program of the node.
type Engine interface {
	// Create makes a container up to the point where its program would run. On an error nothing stays.
	Create(id string, s *specs.Spec, stdio launch.Stdio) (launch.Created, error)
	// Exec starts a process whose end its ID tells: it is a child of this one.
	Exec(id string, p *specs.Process, stdio launch.Stdio) (proc.ID, error)
	// Resume completes a start that was cut short; a container that runs is left alone.
	Resume(id string) error
	Update(id string, r *specs.LinuxResources) error
	// KillAll kills every process that belongs to the container.
	KillAll(id string) error
	// Destroy removes the container with its processes. One that is not there is no error.
	Destroy(id string) error
}

// Engines finds the engine of a runtime handler.
type Engines interface {
	// For returns an engine for every name: of one that is gone it can still Destroy.
	For(handler string) Engine
	// All returns those that may have left something.
	All() []Engine
}

func (m *Manager) engine(c *Container) Engine { return m.cfg.Engines.For(c.Meta.Handler) }

// destroy removes what any engine has of a container whose record may not say which one made it.
func (m *Manager) destroy(id string) error {
	m.mu.Lock()
	c := m.containers[id]
	m.mu.Unlock()
	if c != nil {
		return m.engine(c).Destroy(id)
	}
	var all error
	for _, e := range m.cfg.Engines.All() {
		all = errors.Join(all, e.Destroy(id))
	}
	return all
}
