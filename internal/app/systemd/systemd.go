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
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/knarr-io/knarr/internal/base/remedy"
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
// takes the process in, into the group inside it that subgroup names, such as
// /services; empty for none.
func Scope(ctx context.Context, name, subgroup string, pid int) error {
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("speak with systemd: %w", err)
	}
	defer conn.Close()
	done := make(chan string, 1)
	_, err = conn.StartTransientUnitContext(ctx, name, "fail", scope(pid), done)
	if errorName(err) == errUnitExists {
		if err := conn.AttachProcessesToUnit(ctx, name, subgroup, []uint32{uint32(pid)}); err != nil {
			return fmt.Errorf("put process %d into %s: %w", pid, name, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return finished(ctx, name, done)
}

// stopTime is how long a shutdown waits for a scope's processes.
const stopTime = 15 * time.Second

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
		// A shutdown ends the service first, which takes the cluster down in order,
		// and does not wait for containers that ignore its signal.
		dbus.PropBefore(UnitName),
		set("TimeoutStopUSec", uint64(stopTime/time.Microsecond)),
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
			return remedy.New(fmt.Sprintf("%s: systemd's job ended as %q", unit, outcome), "look into journalctl -u "+unit)
		}
		return nil
	}
}
