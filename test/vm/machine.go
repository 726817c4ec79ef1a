package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/knarr-io/knarr/test/vm/wire"
)

// bootTime bounds a boot; software emulation takes minutes for what a
// processor with virtualization does in seconds.
const bootTime = 8 * time.Minute

// stopTime bounds how long qemu takes to end; it writes the disk's index then.
const stopTime = time.Minute

// moment names what the disk keeps of the machine that has booted.
const moment = "fresh"

// host is what machines are started with.
type host struct {
	tools tools
	image machineImage
	files string // the disk with the program under test and the images
	dir   string // of this run
	// program is the version under test.
	program string
	// kept is the id of the boot whose machine the disk keeps; empty before that.
	kept string
	// machine runs; nil where none does.
	machine *machine
}

// machine is a running virtual machine.
type machine struct {
	*line
	monitor *monitor
	dir     string
	qemu    *exec.Cmd
	done    chan error
	// before is how the machine was before the cluster.
	before []string
}

// accelerator is how fast machines run here. A /dev/kvm behind which there is no
// processor with virtualization does not run a whole kernel.
func accelerator() string {
	processor, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !regexp.MustCompile(`\b(vmx|svm)\b`).Match(processor) {
		return "tcg"
	}
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg"
	}
	_ = kvm.Close()
	return "kvm"
}

// fresh is a machine that has booted and on which nothing was done yet: every
// scenario begins with the same one. An emulated processor takes its time to
// boot, so that it does once. Each machine is a qemu of its own: one that is
// brought back to an earlier moment does not turn its processors' counters
// back, and for the machine the minutes in between would pass at once.
func (h *host) fresh(ctx context.Context) (*machine, error) {
	if err := h.stop(); err != nil {
		return nil, err
	}
	// Now and then an emulated kernel hangs in its first second.
	for tries := 2; h.kept == "" && tries > 0; tries-- {
		if err := errors.Join(h.boot(ctx), h.stop()); err != nil && (tries == 1 || ctx.Err() != nil) {
			return nil, err
		} else if err != nil {
			fmt.Printf("  boot again: %v\n", err)
		}
	}
	if err := h.start(ctx, "-loadvm", moment); err != nil {
		return nil, err
	}
	h.machine.boot = h.kept
	return h.machine, nil
}

// boot starts a machine on a fresh copy of the disk, waits until it is settled
// and has qemu keep it there: processors, memory and files.
func (h *host) boot(ctx context.Context) error {
	began := time.Now()
	if err := h.copyDisk(ctx); err != nil {
		return err
	}
	if err := h.start(ctx); err != nil {
		return err
	}
	m := h.machine
	if err := m.awaitBoot(ctx); err != nil {
		return err
	}
	for _, s := range []step{settled(), install()} {
		what, err := s.do(ctx, m)
		if err != nil {
			m.explain(ctx, s.name)
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("  %s: %s\n", s.name, what)
	}
	if err := m.monitor.command("savevm " + moment); err != nil {
		return err
	}
	h.kept = m.line.boot
	fmt.Printf("  booted (%.0f s)\n", time.Since(began).Seconds())
	return nil
}

// stop ends the machine, if one runs.
func (h *host) stop() error {
	m := h.machine
	if m == nil {
		return nil
	}
	h.machine = nil
	return m.stop()
}

// close ends the machine and removes its disk.
func (h *host) close() error {
	return errors.Join(h.stop(), os.RemoveAll(h.path("disk.qcow2")))
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

// kernelFlags have a Debian boot from its one disk. An emulated processor's
// counters agree although the kernel doubts that and would take a slow clock
// instead; nobody attacks the machine; and its page tables need no fifth level.
const kernelFlags = "root=LABEL=root rw console=ttyS0 quiet panic=1 systemd.default_timeout_start_sec=900 " +
	"modprobe.blacklist=kvm_amd,kvm_intel,kvm tsc=reliable mitigations=off no5lvl"

// copyDisk makes the machine's disk, which holds what differs from the image.
func (h *host) copyDisk(ctx context.Context) error {
	base, err := filepath.Abs(h.image.disk)
	if err != nil {
		return err
	}
	if out, err := h.tools.command(ctx, "usr/bin/qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", h.path("disk.qcow2")).CombinedOutput(); err != nil {
		return fmt.Errorf("make the machine's disk: %w: %s", err, out)
	}
	return nil
}

// start switches a machine on. It finds its serial line connected: otherwise
// one that goes on from a kept moment would take it for broken. Its console
// goes to a file in the run's folder.
func (h *host) start(ctx context.Context, more ...string) error {
	firmware := filepath.Join(h.tools.root, "usr/share")
	args := []string{"-nodefaults", "-display", "none", "-nic", "none",
		"-L", filepath.Join(firmware, "qemu"), "-L", filepath.Join(firmware, "seabios"),
		"-accel", accelerator(), "-cpu", "max", "-smp", "2", "-m", "3072", "-rtc", "base=utc,clock=vm",
		"-kernel", h.image.kernel, "-initrd", h.image.initrd, "-append", kernelFlags,
		"-drive", "file=" + h.path("disk.qcow2") + ",if=virtio,cache=unsafe", "-drive", "file=" + h.files + ",if=virtio,format=raw,readonly=on",
		"-chardev", "file,id=console,append=on,path=" + h.path("console.log"), "-serial", "chardev:console",
		"-chardev", "socket,id=line,server=on,wait=on,path=" + h.path("line"),
		"-device", "virtio-serial", "-device", "virtserialport,chardev=line,name=" + wire.Port,
		"-qmp", "unix:" + h.path("monitor") + ",server=on,wait=off", "-device", "virtio-rng-pci"}
	qemu := h.tools.command(ctx, "usr/bin/qemu-system-x86_64", append(args, more...)...)
	log, err := os.OpenFile(h.path("qemu.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	qemu.Stdout, qemu.Stderr = log, log
	if err := qemu.Start(); err != nil {
		return fmt.Errorf("start qemu: %w", err)
	}
	h.machine = &machine{dir: h.dir, qemu: qemu, done: make(chan error, 1)}
	go func(m *machine) { m.done <- m.qemu.Wait() }(h.machine)
	return h.machine.connect(ctx)
}

// connect takes qemu's lines, the first of which it waits for.
func (m *machine) connect(ctx context.Context) error {
	conn, err := m.dial(ctx, "line")
	if err != nil {
		return err
	}
	m.line = newLine(conn)
	if conn, err = m.dial(ctx, "monitor"); err != nil {
		return err
	}
	m.monitor, err = newMonitor(conn)
	return err
}

// dial takes a line as soon as qemu offers it.
func (m *machine) dial(ctx context.Context, name string) (net.Conn, error) {
	for {
		conn, err := net.Dial("unix", filepath.Join(m.dir, name))
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-m.done:
			m.done <- err
			return nil, fmt.Errorf("qemu ended: %w (see %s)", err, filepath.Join(m.dir, "qemu.log"))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// awaitBoot waits until the machine says that it has booted.
func (m *machine) awaitBoot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	if err := m.hello(ctx); err != nil {
		return fmt.Errorf("the machine does not boot: %w (see %s)", err, filepath.Join(m.dir, "console.log"))
	}
	return nil
}

// stop ends the machine as a power cut does, but has qemu close its disk.
func (m *machine) stop() error {
	if m.line != nil {
		defer m.line.close()
	}
	if m.monitor != nil {
		defer m.monitor.conn.Close()
		_, _ = m.monitor.execute("quit", nil) // it may be gone before it answers
	} else if err := m.qemu.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-m.done:
		return nil
	case <-time.After(stopTime):
		return errors.Join(errors.New("qemu did not end by itself"), m.qemu.Process.Kill())
	}
}
