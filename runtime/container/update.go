package container

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/atomicfile"
	"github.com/knarr-io/knarr/runtime/fault"
)

// applyUpdate changes the limits of a running container, or those that a created one starts with.
func (m *Manager) applyUpdate(c *Container, s Status, sp *specs.Spec, r *specs.LinuxResources) error {
	switch s.State {
	case cri.ContainerState_CONTAINER_RUNNING:
		return m.engine(c).Update(c.Meta.ID, r)
	case cri.ContainerState_CONTAINER_CREATED:
		r.Devices = sp.Linux.Resources.Devices
		sp.Linux.Resources = r
		return atomicfile.WriteJSON(m.specFile(c.Meta.ID), sp, false)
	}
	return fault.New(fault.Precondition, "container %s has ended", c.Meta.ID)
}

// Reopen goes on in a new log file, after the old one was renamed.
func (m *Manager) Reopen(id string) error {
	c, err := m.running(id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	w := c.writer
	c.mu.Unlock()
	if w == nil || c.Meta.LogPath == "" {
		return nil
	}
	return w.Reopen()
}

// Update changes the container's limits.
func (m *Manager) Update(c *Container, r *specs.LinuxResources, encoded []byte) error {
	c.op.Lock()
	defer c.op.Unlock()
	s := c.Status()
	s.Resources = encoded
	sp, err := m.readSpec(c.Meta.ID)
	if err != nil {
		return err
	}
	if err := m.applyUpdate(c, s, sp, r); err != nil {
		return err
	}
	if err := m.saveStatus(c, s); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// The container may have ended meanwhile: only the limits are this function's.
	c.status.Resources = encoded
	return nil
}
