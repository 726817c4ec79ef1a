package container

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cyphar/filepath-securejoin"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/spec"
)

const (
	// volumePrefix begins the names of image volumes' mount points.
	volumePrefix = "volume-"
	// lowerPrefix begins the names of folders with layers for other users.
	lowerPrefix = "lower-"
)

// resolveMounts finds the sources of the container's mounts. A missing folder
// of the host is made; images are mounted; what CRI says so of gets the
// container's label.
func (m *Manager) resolveMounts(c *Container, users *users, labels spec.Labels) ([]spec.Mount, error) {
	var out []spec.Mount
	for i, cm := range c.Config.GetMounts() {
		if cm.GetContainerPath() == "" {
			return nil, fault.New(fault.Invalid, "mount %d has no path in the container", i)
		}
		source, err := m.mountSource(c, i, cm, users)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", cm.GetContainerPath(), err)
		}
		if cm.GetSelinuxRelabel() && cm.GetImage().GetImage() == "" {
			if err := relabel(labels, source); err != nil {
				return nil, fmt.Errorf("mount %s: %w", cm.GetContainerPath(), err)
			}
		}
		out = append(out, spec.Mount{Source: source, Destination: filepath.Join("/", cm.GetContainerPath()),
			Mapped:            users != nil && len(cm.GetUidMappings()) > 0 && cm.GetImage().GetImage() == "",
			Readonly:          cm.GetReadonly() || cm.GetImage().GetImage() != "",
			RecursiveReadonly: cm.GetRecursiveReadOnly(), Propagation: cm.GetPropagation()})
	}
	return out, nil
}

func (m *Manager) mountSource(c *Container, i int, cm *cri.Mount, users *users) (string, error) {
	if ref := cm.GetImage().GetImage(); ref != "" {
		return m.imageVolume(c, i, cm, users)
	}
	if cm.GetRecursiveReadOnly() && (!cm.GetReadonly() || cm.GetPropagation() != cri.MountPropagation_PROPAGATION_PRIVATE) {
		return "", fault.New(fault.Invalid, "recursive read-only needs a read-only mount without propagation")
	}
	source, err := filepath.EvalSymlinks(cm.GetHostPath())
	if os.IsNotExist(err) {
		source = cm.GetHostPath()
		err = os.MkdirAll(source, 0o755)
	}
	if err != nil {
		return "", fault.As(fault.Invalid, err)
	}
	return source, checkPropagation(source, cm.GetPropagation())
}

// checkPropagation refuses what the host's own mount does not allow.
func checkPropagation(source string, p cri.MountPropagation) error {
	if p == cri.MountPropagation_PROPAGATION_PRIVATE {
		return nil
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(source))
	if err != nil {
		return err
	}
	var last *mountinfo.Info
	for _, i := range mounts {
		if last == nil || len(i.Mountpoint) >= len(last.Mountpoint) {
			last = i
		}
	}
	shared := last != nil && hasPrefixField(last.Optional, "shared:")
	slave := shared || last != nil && hasPrefixField(last.Optional, "master:")
	if p == cri.MountPropagation_PROPAGATION_BIDIRECTIONAL && !shared {
		return fault.New(fault.Invalid, "path %q is mounted on %q but it is not a shared mount", source, mountpoint(last))
	}
	if p == cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER && !slave {
		return fault.New(fault.Invalid, "path %q is mounted on %q but it is not a shared or slave mount", source, mountpoint(last))
	}
	return nil
}

func mountpoint(i *mountinfo.Info) string {
	if i == nil {
		return ""
	}
	return i.Mountpoint
}

// imageVolume mounts an image for the container and returns the folder that it asks for.
func (m *Manager) imageVolume(c *Container, i int, cm *cri.Mount, users *users) (string, error) {
	ref, sub := cm.GetImage().GetImage(), cm.GetImageSubPath()
	img, err := m.cfg.Images.Get(ref)
	if err != nil {
		return "", err
	}
	lower, err := m.cfg.Images.Lower(img.ChainIDs())
	if err != nil {
		return "", err
	}
	target := filepath.Join(m.state(c.Meta.ID), volumePrefix+strconv.Itoa(i))
	c.Meta.Layers = append(c.Meta.Layers, img.ChainIDs()...)
	m.cfg.Images.Retain(c.Meta.ID, c.Meta.Layers)
	lower, done, err := users.mapped(lower, filepath.Join(m.state(c.Meta.ID), lowerPrefix+strconv.Itoa(i)))
	if err != nil {
		return "", err
	}
	defer done()
	if err := mountImage(target, lower); err != nil {
		return "", fmt.Errorf("mount image %s: %w", ref, err)
	}
	if sub == "" {
		return target, nil
	}
	source, err := securejoin.SecureJoin(target, sub)
	if err == nil {
		_, err = os.Stat(source)
	}
	if err != nil {
		return "", fault.New(fault.Invalid, "image %s has no %q: %w", ref, sub, err)
	}
	return source, nil
}

// resolveDevices finds the device nodes that the container asks for; a privileged one gets all.
func resolveDevices(config *cri.ContainerConfig) ([]spec.Device, error) {
	if len(config.GetCDIDevices()) > 0 {
		return nil, fault.New(fault.Precondition, "CDI devices are not supported by this runtime")
	}
	if config.GetLinux().GetSecurityContext().GetPrivileged() {
		return walkDevices("/dev", "/dev", "rwm")
	}
	var out []spec.Device
	for _, d := range config.GetDevices() {
		found, err := walkDevices(d.GetHostPath(), d.GetContainerPath(), d.GetPermissions())
		if err != nil {
			return nil, fault.New(fault.Invalid, "device %s: %w", d.GetHostPath(), err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// walkDevices returns the device node at host, or all below it, as seen at inside.
func walkDevices(host, inside, access string) ([]spec.Device, error) {
	host, err := filepath.EvalSymlinks(host)
	if err != nil {
		return nil, err
	}
	var out []spec.Device
	err = filepath.WalkDir(host, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return skipGone(err)
		}
		if d.IsDir() {
			switch path {
			case "/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd":
				return filepath.SkipDir
			}
			return nil
		}
		var st unix.Stat_t
		if d.Type()&fs.ModeDevice == 0 || path == "/dev/console" || unix.Lstat(path, &st) != nil {
			return nil
		}
		rel, err := filepath.Rel(host, path)
		if err != nil {
			return err
		}
		kind := "b"
		if st.Mode&unix.S_IFMT == unix.S_IFCHR {
			kind = "c"
		}
		out = append(out, spec.Device{Path: filepath.Join(inside, rel), Type: kind, Access: access,
			Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
			Mode: fs.FileMode(st.Mode & 0o777), UID: st.Uid, GID: st.Gid})
		return nil
	})
	return out, err
}

func skipGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

func hasPrefixField(fields, prefix string) bool {
	for i := 0; i+len(prefix) <= len(fields); i++ {
		if fields[i:i+len(prefix)] == prefix {
			return true
		}
	}
	return false
}
