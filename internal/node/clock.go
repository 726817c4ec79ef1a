package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// leastJump is what a clock has to be set by to be told: less than that is a
// time server's work.
const leastJump = time.Second

// reading is what the machine's clocks say at one moment: the one that people
// set, and the one that nobody can, which counts on while the machine sleeps.
type reading struct{ wall, steady time.Duration }

func readClocks() (r reading, err error) {
	for clock, to := range map[int32]*time.Duration{unix.CLOCK_REALTIME: &r.wall, unix.CLOCK_BOOTTIME: &r.steady} {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			return r, err
		}
		*to = time.Duration(ts.Nano())
	}
	return r, nil
}

// jump is by how much the clock was set between two readings.
func jump(before, after reading) time.Duration {
	return (after.wall - before.wall) - (after.steady - before.steady)
}

// jumpText tells a jump, or nothing where it is none to speak of.
func jumpText(by time.Duration) string {
	switch {
	case by >= leastJump:
		return fmt.Sprintf("The machine's clock was set forward by %s: certificates, tokens and deadlines age by it", by.Round(time.Millisecond))
	case by <= -leastJump:
		return fmt.Sprintf("The machine's clock was set back by %s: what was written meanwhile seems to come from the future", (-by).Round(time.Millisecond))
	}
	return ""
}

// watchClock tells an event of the node when the machine's clock is set, and
// has the lease renewed by the new time. It returns when ctx ends.
func (n *Node) watchClock(ctx context.Context) error {
	sets, err := newClockSets()
	if err != nil {
		n.cfg.Logger.Warn("a clock that is set will not be told", "error", err)
		return nil
	}
	defer context.AfterFunc(ctx, sets.close)()
	return followClock(ctx, sets.wait, readClocks, func(text string) {
		n.cfg.Logger.Warn("the clock was set", "what", text)
		n.registrar.Event(corev1.EventTypeWarning, "ClockChanged", text)
		n.registrar.Check()
	})
}

// followClock reads the clocks each time that wait says that one was set, and
// tells the jumps.
func followClock(ctx context.Context, wait func() error, read func() (reading, error), tell func(string)) error {
	before, err := read()
	for err == nil {
		if err = wait(); err != nil {
			break
		}
		var after reading
		if after, err = read(); err != nil {
			break
		}
		if text := jumpText(jump(before, after)); text != "" {
			tell(text)
		}
		before = after
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("watch the clock: %w", err)
}

// clockSets wakes when somebody sets the clock: a timer of the kernel that
// never ends is cancelled then (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
type clockSets struct{ timer *os.File }

const (
	timerAbsolute    = 1
	timerCancelOnSet = 2
)

func newClockSets() (*clockSets, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	c := &clockSets{timer: os.NewFile(uintptr(fd), "clock")}
	if err := c.arm(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *clockSets) arm() error {
	raw, err := c.timer.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		never := unix.ItimerSpec{Value: unix.Timespec{Sec: 1 << 33}}
		set = unix.TimerfdSettime(int(fd), timerAbsolute|timerCancelOnSet, &never, nil)
	})
	return errors.Join(err, set)
}

// wait returns when the clock was set, with an error when it is closed.
func (c *clockSets) wait() error {
	var ticks [8]byte
	if _, err := c.timer.Read(ticks[:]); err != nil && !errors.Is(err, unix.ECANCELED) {
		return err
	}
	return c.arm()
}

func (c *clockSets) close() { _ = c.timer.Close() }
