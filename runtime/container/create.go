package container

import (
	"context"
	"os"
	"path/filepath"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/atomicfile"
	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image"
	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/sandbox"
	"github.com/knarr-io/knarr/runtime/spec"
)

// Create makes a container in sb, ready to be started. On an error nothing of it stays.
func (m *Manager) Create(_ context.Context, sb *sandbox.Sandbox, config *cri.ContainerConfig) (_ *Container, err error) {
	if !sb.Ready() {
		return nil, fault.New(fault.Precondition, "sandbox %s is not ready", sb.ID)
	}
	img, err := m.cfg.Images.Get(imageOf(config))
	if err != nil {
		return nil, err
	}
	c := m.newContainer(sb, config, img)
	id := c.Meta.ID
	// Retained before anything of the image is used, so that its removal waits.
	m.cfg.Images.Retain(id, c.Meta.Layers)
	defer func() {
		if err != nil {
			m.cfg.Images.Release(id)
			if serr := m.scrap(id); serr != nil {
				c.logger(m.cfg.Log).Error("cannot remove a failed container", "error", serr)
			}
		}
	}()
	if err := m.build(c, sb, img); err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.containers[id] = c
	m.mu.Unlock()
	if !sb.Ready() {
		// Who stopped it may have looked for its containers before this one was there.
		m.mu.Lock()
		delete(m.containers, id)
		m.mu.Unlock()
		return nil, stoppedMeanwhile(sb)
	}
	m.cfg.Notify(cri.ContainerEventType_CONTAINER_CREATED_EVENT, c)
	return c, nil
}

func stoppedMeanwhile(sb *sandbox.Sandbox) error {
	return fault.New(fault.Precondition, "sandbox %s was stopped meanwhile", sb.ID)
}

func imageOf(config *cri.ContainerConfig) string { return config.GetImage().GetImage() }

func (m *Manager) newContainer(sb *sandbox.Sandbox, config *cri.ContainerConfig, img *image.Image) *Container {
	id := sandbox.NewID()
	meta := Meta{ID: id, SandboxID: sb.ID, ImageID: img.ID, ImageRef: img.ID, Layers: img.ChainIDs(), Created: time.Now(),
		StopSignal: spec.StopSignal(config, img.Config.StopSignal), Handler: sb.Handler,
		Cgroup: filepath.Join(m.cgroupParent(sb), id)}
	if len(img.Digests) > 0 {
		meta.ImageRef = img.Digests[0]
	}
	if dir := sb.Config.GetLogDirectory(); dir != "" && config.GetLogPath() != "" {
		meta.LogPath = filepath.Join(dir, config.GetLogPath())
	}
	return &Container{Meta: meta, Config: config, ended: make(chan struct{}),
		status: Status{State: cri.ContainerState_CONTAINER_CREATED}}
}

// cgroupParent is the pod's cgroup: what the agent made, or one of ours.
func (m *Manager) cgroupParent(sb *sandbox.Sandbox) string {
	if p := sb.Config.GetLinux().GetCgroupParent(); p != "" {
		return filepath.Clean("/" + p)
	}
	return filepath.Join(m.cfg.CgroupParent, sb.ID)
}

func (m *Manager) build(c *Container, sb *sandbox.Sandbox, img *image.Image) error {
	for _, dir := range []string{m.dir(c.Meta.ID), m.state(c.Meta.ID)} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	users, err := openUsers(sb)
	if err != nil {
		return err
	}
	defer users.close()
	labels := m.cfg.Host.SELinux.Labels(c.Config.GetLinux().GetSecurityContext(), sb.ID)
	rootfs, err := m.mountRootfs(c.Meta.ID, c.Meta.Layers, users, labels)
	if err != nil {
		return err
	}
	user, err := spec.ResolveUser(c.Config.GetLinux().GetSecurityContext(), img.Config.User, accounts{rootfs})
	if err != nil {
		return err
	}
	c.Meta.User = user
	mounts, err := m.resolveMounts(c, users, labels)
	if err != nil {
		return err
	}
	files := spec.Files{ResolvConf: sb.ResolvConf(), Hostname: sb.Hostname(), Hosts: sb.Hosts(), Shm: sb.Shm()}
	if err := relabel(labels, files.ResolvConf, files.Hostname, files.Hosts, files.Shm); err != nil {
		return err
	}
	devices, err := resolveDevices(c.Config)
	if err != nil {
		return err
	}
	ns, err := m.namespaces(c, sb)
	if err != nil {
		return err
	}
	c.Meta.OwnPID = ns.PID == "" && !ns.HostPID
	s, err := spec.Build(spec.Input{Container: c.Config, Sandbox: sb.Config, Image: img.Config, User: user, Rootfs: rootfs,
		CgroupPath: c.Meta.Cgroup, Namespaces: ns, Mounts: mounts, Devices: devices, Labels: labels, Host: m.cfg.Host, Files: files})
	if err != nil {
		return err
	}
	if err := atomicfile.WriteJSON(m.specFile(c.Meta.ID), s, false); err != nil {
		return err
	}
	return m.saveMeta(c)
}

func (m *Manager) specFile(id string) string { return filepath.Join(m.dir(id), "spec.json") }

// Spec is what the container was or will be started with.
func (m *Manager) Spec(c *Container) (*specs.Spec, error) { return m.readSpec(c.Meta.ID) }

func (m *Manager) readSpec(id string) (*specs.Spec, error) {
	s := &specs.Spec{}
	return s, atomicfile.ReadJSON(m.specFile(id), s)
}

// namespaces finds the namespaces that the container joins.
func (m *Manager) namespaces(c *Container, sb *sandbox.Sandbox) (spec.Namespaces, error) {
	opts := c.Config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	ns := spec.Namespaces{HostNet: sb.HostNetwork(), HostIPC: sb.HostIPC()}
	if _, others := sb.UserNamespace(); others {
		ns.User = nspace.Path(sb.NamespaceDir(), nspace.User)
	} else if o := opts.GetUsernsOptions(); o != nil && o.GetMode() != cri.NamespaceMode_NODE {
		return ns, fault.New(fault.Invalid, "the container asks for a user namespace, which its sandbox has not")
	}
	if !ns.HostNet {
		ns.Net = nspace.Path(sb.NamespaceDir(), nspace.Net)
		ns.UTS = nspace.Path(sb.NamespaceDir(), nspace.UTS)
	}
	if !ns.HostIPC {
		ns.IPC = nspace.Path(sb.NamespaceDir(), nspace.IPC)
	}
	switch opts.GetPid() {
	case cri.NamespaceMode_NODE:
		ns.HostPID = true
	case cri.NamespaceMode_POD:
		if opts != nil && sb.SharedPID() {
			ns.PID = pidNamespace(sb.Pause().PID)
		}
	case cri.NamespaceMode_TARGET:
		target, err := m.running(opts.GetTargetId())
		if err != nil {
			return ns, err
		}
		ns.PID = pidNamespace(target.Status().Process.PID)
	}
	return ns, nil
}
