package spec

import (
	"io/fs"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Device is a device node that a container gets.
type Device struct {
	// Path is where the container sees it.
	Path         string
	Type         string // c or b
	Major, Minor int64
	Mode         fs.FileMode
	UID, GID     uint32
	// Access is what the container may do: any of r, w and m.
	Access string
}

// addDevices lets the container use in.Devices and, by the default of the
// library, the usual nodes; a privileged one may use every device.
func addDevices(s *specs.Spec, in Input) {
	rules := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	if security(in.Container).GetPrivileged() {
		rules = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	}
	for _, d := range in.Devices {
		mode, uid, gid := d.Mode, d.UID, d.GID
		s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: d.Path, Type: d.Type, Major: d.Major, Minor: d.Minor,
			FileMode: &mode, UID: &uid, GID: &gid})
		if !security(in.Container).GetPrivileged() {
			major, minor := d.Major, d.Minor
			rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &major, Minor: &minor, Access: d.Access})
		}
	}
	s.Linux.Resources.Devices = rules
}
