package render

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ContainerInput is what a container configuration is made of.
type ContainerInput struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	Attempt   uint32
	// Image is the runtime's id of the image that Container.Image names.
	Image string
	Env   []*runtimeapi.KeyValue
	// Mounts are those of the container's volumes; MessageFile and HostsFile
	// are host files mounted besides, or empty.
	Mounts                 []*runtimeapi.Mount
	Devices                []*runtimeapi.Device
	MessageFile, HostsFile string
	// Target is the id of the container whose processes an ephemeral one joins.
	Target string
	// Profiles is the folder of localhost seccomp profiles.
	Profiles string
	// DefaultSeccomp gives a container without a profile the runtime's default,
	// NoCPUQuota lets it take more CPU than its limit.
	DefaultSeccomp, NoCPUQuota bool
	// Users are the pod's own; nil for the node's.
	Users *Users
	// MemoryCapacity is the node's, in bytes.
	MemoryCapacity int64
}

// Container is the configuration of one container.
func Container(in ContainerInput) *runtimeapi.ContainerConfig {
	c := in.Container
	lookup := lookupIn(in.Env)
	return &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: c.Name, Attempt: in.Attempt},
		Image: &runtimeapi.ImageSpec{
			Image: in.Image, UserSpecifiedImage: c.Image,
		},
		Command:     expandAll(c.Command, lookup),
		Args:        expandAll(c.Args, lookup),
		WorkingDir:  c.WorkingDir,
		Envs:        in.Env,
		Mounts:      withOwnFiles(in),
		Devices:     in.Devices,
		Labels:      containerLabels(in.Pod, c.Name),
		Annotations: containerAnnotations(in.Pod, c, in.Attempt, in.MessageFile),
		LogPath:     ContainerLogPath(c.Name, in.Attempt),
		Stdin:       c.Stdin, StdinOnce: c.StdinOnce, Tty: c.TTY,
		Linux: &runtimeapi.LinuxContainerConfig{
			Resources:       ContainerResources(in.Pod, c, in.MemoryCapacity, in.NoCPUQuota),
			SecurityContext: containerSecurity(in.Pod, c, in.Profiles, in.Target, in.unsetSeccomp(), in.Users),
		},
		StopSignal: stopSignal(c),
	}
}

func stopSignal(c *corev1.Container) runtimeapi.Signal {
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
		return runtimeapi.Signal_RUNTIME_DEFAULT
	}
	return runtimeapi.Signal(runtimeapi.Signal_value[string(*c.Lifecycle.StopSignal)])
}

// withOwnFiles adds the termination message file and /etc/hosts, unless a
// volume is mounted there already.
func withOwnFiles(in ContainerInput) []*runtimeapi.Mount {
	mounts := in.Mounts
	taken := make(map[string]bool, len(mounts))
	for _, m := range mounts {
		taken[m.ContainerPath] = true
	}
	if in.HostsFile != "" && !taken["/etc/hosts"] {
		mounts = append(mounts, &runtimeapi.Mount{ContainerPath: "/etc/hosts", HostPath: in.HostsFile, SelinuxRelabel: true})
	}
	if path := messagePath(in.Container); in.MessageFile != "" && !taken[path] {
		mounts = append(mounts, &runtimeapi.Mount{ContainerPath: path, HostPath: in.MessageFile, SelinuxRelabel: true})
	}
	if in.Users != nil {
		for _, m := range mounts {
			m.UidMappings, m.GidMappings = in.Users.mapping(), in.Users.mapping()
		}
	}
	return mounts
}

func lookupIn(env []*runtimeapi.KeyValue) func(string) (string, bool) {
	values := make(map[string]string, len(env))
	for _, kv := range env {
		values[kv.Key] = string(kv.Value)
	}
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

// Mount is the CRI form of a volume mount whose source on the host is known.
func Mount(m corev1.VolumeMount, hostPath string, readOnly bool) *runtimeapi.Mount {
	out := &runtimeapi.Mount{
		ContainerPath: m.MountPath, HostPath: hostPath,
		Readonly:          m.ReadOnly || readOnly,
		RecursiveReadOnly: m.ReadOnly && m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled,
	}
	if m.MountPropagation != nil {
		switch *m.MountPropagation {
		case corev1.MountPropagationHostToContainer:
			out.Propagation = runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
		case corev1.MountPropagationBidirectional:
			out.Propagation = runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL
		}
	}
	return out
}

// PortOf resolves a port that a probe or hook gives by number or name.
func PortOf(c *corev1.Container, name string, number int32) (int32, bool) {
	if name == "" {
		return number, number > 0 && number < 65536
	}
	for _, p := range c.Ports {
		if p.Name == name {
			return p.ContainerPort, true
		}
	}
	n, err := strconv.ParseInt(name, 10, 32)
	return int32(n), err == nil && n > 0 && n < 65536
}

// unsetSeccomp is the profile of a container that has none.
func (in *ContainerInput) unsetSeccomp() *corev1.SeccompProfile {
	if in.DefaultSeccomp {
		return &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
	return nil
}
