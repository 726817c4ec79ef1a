package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/atomicfile"
	"github.com/knarr-io/knarr/runtime/cgroup"
	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image"
	"github.com/knarr-io/knarr/runtime/keeper"
	"github.com/knarr-io/knarr/runtime/logs"
	"github.com/knarr-io/knarr/runtime/sandbox"
	"github.com/knarr-io/knarr/runtime/spec"
)

// Config is what a Manager works with.
type Config struct {
	// Records is a folder that outlives a reboot; State one on a tmpfs.
	Records, State string
	// Boot names this boot of the machine.
	Boot         string
	CgroupParent string
	Host         spec.Host
	Images       *image.Store
	Sandboxes    *sandbox.Manager
	Keeper       *keeper.Keeper
	Engines      Engines
	Cgroups      *cgroup.Hierarchy
	Log          *slog.Logger
	// Notify is called after a container changed. It must not block.
	Notify func(cri.ContainerEventType, *Container)
}

// Manager owns the containers of a node. It is safe for concurrent use.
type Manager struct {
	cfg     Config
	buffers logs.Pool
	// life ends with the runtime, not with the containers.
	life context.Context

	mu         sync.Mutex
	containers map[string]*Container
}

// Open reads the containers of earlier runs. Resume must follow.
func Open(ctx context.Context, cfg Config) (*Manager, error) {
	for _, dir := range []string{cfg.Records, cfg.State} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	m := &Manager{cfg: cfg, life: ctx, containers: map[string]*Container{}}
	entries, err := os.ReadDir(cfg.Records)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		c, err := m.load(e.Name())
		if err != nil {
			cfg.Log.Warn("removing a container without a whole record", "container", e.Name(), "error", err)
			if err := m.scrap(e.Name()); err != nil {
				cfg.Log.Error("cannot remove a container", "container", e.Name(), "error", err)
			}
			continue
		}
		m.containers[c.Meta.ID] = c
		cfg.Images.Retain(c.Meta.ID, c.Meta.Layers)
	}
	return m, nil
}

func (m *Manager) dir(id string) string   { return filepath.Join(m.cfg.Records, id) }
func (m *Manager) state(id string) string { return filepath.Join(m.cfg.State, id) }

func (m *Manager) load(id string) (*Container, error) {
	c := &Container{ended: make(chan struct{})}
	if err := atomicfile.ReadJSON(filepath.Join(m.dir(id), "meta.json"), &c.Meta); err != nil {
		return nil, err
	}
	c.Config = &cri.ContainerConfig{}
	if err := proto.Unmarshal(c.Meta.Config, c.Config); err != nil {
		return nil, err
	}
	c.Meta.Config = nil
	err := atomicfile.ReadJSON(filepath.Join(m.dir(id), "status.json"), &c.status)
	if errors.Is(err, fs.ErrNotExist) {
		c.status = Status{State: cri.ContainerState_CONTAINER_CREATED}
		err = nil
	}
	if errors.Is(err, atomicfile.ErrCorrupt) {
		// Written last before a power cut: the container ran and is dead.
		c.status = Status{State: cri.ContainerState_CONTAINER_RUNNING}
		err = nil
	}
	var end Status
	if atomicfile.ReadJSON(m.endFile(c.Meta.ID), &end) == nil {
		c.status = end
	}
	return c, err
}

// endFile is where the end of a container is written down when the disk takes nothing.
func (m *Manager) endFile(id string) string { return filepath.Join(m.state(id), "end.json") }

func (m *Manager) saveMeta(c *Container) error {
	meta := c.Meta
	config, err := proto.Marshal(c.Config)
	if err != nil {
		return err
	}
	meta.Config = config
	return atomicfile.WriteJSON(filepath.Join(m.dir(c.Meta.ID), "meta.json"), meta, false)
}

// saveStatus writes s down. Only then may anybody be told. An end is final. On
// a full disk an end goes to the folder of running state, which is in memory: a
// process that nobody could reap would keep its whole pod.
func (m *Manager) saveStatus(c *Container, s Status) error {
	c.disk.Lock()
	defer c.disk.Unlock()
	exited := s.State == cri.ContainerState_CONTAINER_EXITED
	if c.final && !exited {
		return nil
	}
	c.final = exited
	err := atomicfile.WriteJSON(filepath.Join(m.dir(c.Meta.ID), "status.json"), s, false)
	if err == nil || !exited {
		return err
	}
	if merr := atomicfile.WriteJSON(m.endFile(c.Meta.ID), s, false); merr != nil {
		return errors.Join(err, merr)
	}
	c.logger(m.cfg.Log).Warn("how a container ended is written down until the machine ends only", "error", err)
	return nil
}

// Get returns the container with that ID, or the only one whose ID begins with it.
func (m *Manager) Get(id string) (*Container, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.containers[id]; c != nil {
		return c, nil
	}
	var found *Container
	for full, c := range m.containers {
		if id != "" && strings.HasPrefix(full, id) {
			if found != nil {
				return nil, fault.New(fault.Invalid, "container %q: more than one begins so", id)
			}
			found = c
		}
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, "container %q: not found", id)
	}
	return found, nil
}

// List returns the containers, oldest first.
func (m *Manager) List() []*Container {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*Container, 0, len(m.containers))
	for _, c := range m.containers {
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Meta.Created.Before(out[j].Meta.Created) })
	return out
}

// Of returns the containers of a sandbox, oldest first.
func (m *Manager) Of(sandboxID string) []*Container {
	var out []*Container
	for _, c := range m.List() {
		if c.Meta.SandboxID == sandboxID {
			out = append(out, c)
		}
	}
	return out
}

// running returns the container if it runs.
func (m *Manager) running(id string) (*Container, error) {
	c, err := m.Get(id)
	if err != nil {
		return nil, err
	}
	if st := c.State(); st != cri.ContainerState_CONTAINER_RUNNING {
		return nil, fault.New(fault.Precondition, "container %s is not running, its state is %s", c.Meta.ID, st)
	}
	return c, nil
}

// Usage returns what the container has used.
func (m *Manager) Usage(c *Container) (cgroup.Usage, error) {
	u, err := m.cfg.Cgroups.Read(c.Meta.Cgroup)
	if err != nil {
		return u, fmt.Errorf("usage of %s: %w", c.Meta.ID, err)
	}
	return u, nil
}

// PodUsage returns what all containers of a sandbox have used.
func (m *Manager) PodUsage(sb *sandbox.Sandbox) (cgroup.Usage, error) {
	return m.cfg.Cgroups.Read(m.cgroupParent(sb))
}

// RemovePodCgroup removes the cgroup of a pod, if the runtime and not the agent made it.
func (m *Manager) RemovePodCgroup(sb *sandbox.Sandbox) {
	if sb.Config.GetLinux().GetCgroupParent() != "" {
		return
	}
	if err := m.cfg.Cgroups.Remove(m.cgroupParent(sb)); err != nil {
		m.cfg.Log.Warn("cannot remove a pod's cgroup", "sandbox", sb.ID, "error", err)
	}
}
