// Package systemd is what Knarr asks of the machine's service manager: a
// transient scope for its processes, so that they do not end with the session
// they were started in, and a unit that starts the cluster at boot. It speaks
// with the manager directly over D-Bus; where another one runs, Running says so
// and nothing else is to be called. It keeps nothing but the unit's file.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// Running tells whether systemd manages this machine (sd_booted(3)).
func Running() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Scope puts a process, and with it all that it starts from now on, into a
// transient scope of the system: the end of a session takes the session's
// processes along, and systemd-oomd ends the heaviest group there is. The
// scope goes when its last process has ended. A scope of that name that stands
// takes the process in.
func Scope(ctx context.Context, name string, pid int) error {
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("speak with systemd: %w", err)
	}
	defer conn.Close()
	done := make(chan string, 1)
	_, err = conn.StartTransientUnitContext(ctx, name, "fail", scope(pid), done)
	if errorName(err) == errUnitExists {
		if err := conn.AttachProcessesToUnit(ctx, name, "", []uint32{uint32(pid)}); err != nil {
			return fmt.Errorf("put process %d into %s: %w", pid, name, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return finished(ctx, name, done)
}

// scope are the properties of a transient scope.
func scope(pid int) []dbus.Property {
	set := func(name string, value any) dbus.Property {
		return dbus.Property{Name: name, Value: godbus.MakeVariant(value)}
	}
	return []dbus.Property{
		dbus.PropDescription("Knarr, a Kubernetes cluster of this machine"),
		dbus.PropSlice("system.slice"),
		dbus.PropPids(uint32(pid)),
		set("Delegate", true),
		set("ManagedOOMPreference", "omit"),
		set("CollectMode", "inactive-or-failed"), // so that its name is free again
	}
}

const errUnitExists = "org.freedesktop.systemd1.UnitExists"

// errorName is the D-Bus name of an error, empty for others.
func errorName(err error) string {
	var e godbus.Error
	if errors.As(err, &e) {
		return e.Name
	}
	return ""
}

// finished waits for a job of systemd's, which tells how it ended in a word.
func finished(ctx context.Context, unit string, done <-chan string) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", unit, ctx.Err())
	case outcome := <-done:
		if outcome != "done" {
			return fmt.Errorf("%s: systemd's job ended as %q\n    what to do: look into journalctl -u %s", unit, outcome, unit)
		}
		return nil
	}
}

// InService tells whether the caller runs in a service of the system's already,
// which no session ends.
func InService() bool {
	data, err := os.ReadFile("/proc/self/cgroup")
	return err == nil && inUnit(string(data), UnitName)
}

// inUnit looks for a unit in the groups of a process, as /proc/PID/cgroup has
// them: id, controllers and path, a line each.
func inUnit(groups, unit string) bool {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && (fields[1] == "" || fields[1] == "name=systemd") {
			for dir := fields[2]; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
				if filepath.Base(dir) == unit {
					return true
				}
			}
		}
	}
	return false
}
