// Package spec turns a container as CRI describes it into an OCI runtime
// specification. It decides, and touches nothing: what it must know of the
// host and the image comes in as values.
package spec

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Input is everything that decides how a container runs.
type Input struct {
	Container *cri.ContainerConfig
	Sandbox   *cri.PodSandboxConfig
	Image     v1.Config
	User      User
	// Rootfs is where the container's root file system is mounted.
	Rootfs string
	// CgroupPath is the container's cgroup below the root of the hierarchy.
	CgroupPath string
	Namespaces Namespaces
	Files      Files
	// Mounts are CRI's mounts with their sources resolved on the host.
	Mounts []Mount
	// Devices are the devices that the container gets besides the usual ones.
	Devices []Device
	// Labels are those of SELinux.
	Labels Labels
	Host   Host
}

// User is the identity that the container's process runs with, resolved in its image.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// Namespaces are paths of namespaces to join; an empty path is decided by the pod's options.
type Namespaces struct {
	Net, IPC, UTS, PID string
	// User is the pod's user namespace; empty for the node's users.
	User string
	// HostNet, HostIPC and HostPID share the node's.
	HostNet, HostIPC, HostPID bool
}

// Files are the sandbox's files and folders that appear in each of its containers.
type Files struct {
	ResolvConf, Hostname, Hosts, Shm string
}

// Host is what the node can do.
type Host struct {
	// Capabilities are those that the runtime may give away.
	Capabilities []string
	// MinOOMScore is the lowest score adjustment that may be set.
	MinOOMScore int
	// Cgroup2 says that cgroups are version 2 only.
	Cgroup2 bool
	// UserNamespaces says that pods may have users of their own.
	UserNamespaces bool
	// AppArmor says whether a profile is loaded; nil where the kernel enforces none.
	AppArmor func(profile string) (bool, error)
	// DefaultAppArmor is the profile of containers that choose none; empty for none.
	DefaultAppArmor string
	SELinux         SELinux
	// Rlimits are those of containers' processes; others are the runtime's own.
	Rlimits []specs.POSIXRlimit
	// SeccompProfile reads a local profile.
	SeccompProfile func(path string) ([]byte, error)
}

// Build returns the specification. Errors are the fault of the request.
func Build(in Input) (*specs.Spec, error) {
	s := &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: in.Rootfs, Readonly: security(in.Container).GetReadonlyRootfs()},
		Linux:   &specs.Linux{CgroupsPath: in.CgroupPath},
	}
	process, err := buildProcess(in)
	if err != nil {
		return nil, err
	}
	s.Process = process
	s.Process.SelinuxLabel, s.Linux.MountLabel = in.Labels.Process, in.Labels.File
	s.Mounts = buildMounts(in)
	s.Linux.RootfsPropagation = rootPropagation(in.Mounts)
	s.Linux.Namespaces = buildNamespaces(in)
	if in.Namespaces.User != "" {
		s.Linux.Sysctl = in.Sandbox.GetLinux().GetSysctls()
	}
	s.Linux.Resources = Resources(in.Container.GetLinux().GetResources(), in.Host)
	addDevices(s, in)
	if err := secure(s, in); err != nil {
		return nil, err
	}
	return s, nil
}

func security(c *cri.ContainerConfig) *cri.LinuxContainerSecurityContext {
	return c.GetLinux().GetSecurityContext()
}

func buildNamespaces(in Input) []specs.LinuxNamespace {
	ns := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	add := func(kind specs.LinuxNamespaceType, path string, host bool) {
		if !host {
			ns = append(ns, specs.LinuxNamespace{Type: kind, Path: path})
		}
	}
	n := in.Namespaces
	add(specs.UserNamespace, n.User, n.User == "")
	add(specs.NetworkNamespace, n.Net, n.HostNet)
	add(specs.UTSNamespace, n.UTS, n.HostNet)
	add(specs.IPCNamespace, n.IPC, n.HostIPC)
	add(specs.PIDNamespace, n.PID, n.HostPID)
	add(specs.CgroupNamespace, "", !in.Host.Cgroup2 || security(in.Container).GetPrivileged())
	return ns
}

// secure sets what a process may not do.
func secure(s *specs.Spec, in Input) error {
	sc := security(in.Container)
	if sc.GetPrivileged() {
		return nil
	}
	s.Linux.MaskedPaths = sc.GetMaskedPaths()
	s.Linux.ReadonlyPaths = sc.GetReadonlyPaths()
	profile, err := seccompProfile(s, sc, in.Host)
	if err != nil {
		return fmt.Errorf("seccomp profile: %w", err)
	}
	s.Linux.Seccomp = profile
	s.Process.ApparmorProfile, err = apparmorProfile(sc, in.Host)
	return err
}
