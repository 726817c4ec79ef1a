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
const bootTime = 15 * time.Minute

// host is what machines are started with.
type host struct {
	tools tools
	image machineImage
	files string // the disk with the program under test and the images
	dir   string // of this run
	// program is the version under test.
	program string
	// machine runs already; nil before the first scenario, and after qemu was lost.
	machine *machine
}

// machine is a running virtual machine.
type machine struct {
	*line
	monitor *monitor
	dir     string
	qemu    *exec.Cmd
	done    chan error
	// fresh is the id of the boot that restore goes back to.
	fresh string
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
// boot, so that it does once, and is brought back to that moment.
func (h *host) fresh(ctx context.Context) (*machine, error) {
	if h.machine != nil {
		err := h.machine.restore()
		if err == nil {
			return h.machine, nil
		}
		fmt.Printf("  the machine cannot be brought back and is booted anew: %v\n", err)
		_ = h.close() // it is lost
	}
	began := time.Now()
	m, err := h.start(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range []step{settled(), install()} {
		what, err := s.do(ctx, m)
		if err != nil {
			m.explain(ctx, s.name)
			return nil, errors.Join(fmt.Errorf("%s: %w", s.name, err), m.stop())
		}
		fmt.Printf("  %s: %s\n", s.name, what)
	}
	fmt.Printf("  booted (%.0f s)\n", time.Since(began).Seconds())
	h.machine = m
	return m, m.keep()
}

// close ends the machine, if there is one.
func (h *host) close() error {
	if h.machine == nil {
		return nil
	}
	m := h.machine
	h.machine = nil
	return m.stop()
}

// keep has qemu remember the machine: processors, memory and disk.
func (m *machine) keep() error {
	m.fresh = m.boot
	return m.monitor.command("savevm fresh")
}

// restore brings the machine back to how it was kept.
func (m *machine) restore() error {
	m.boot, m.before = m.fresh, nil
	return m.monitor.command("loadvm fresh")
}

// kernelFlags have a Debian boot from its one disk. An emulated processor's
// counters agree although the kernel doubts that and would take a slow clock
// instead; nobody attacks the machine; and its page tables need no fifth level.
const kernelFlags = "root=LABEL=root rw console=ttyS0 quiet panic=1 systemd.default_timeout_start_sec=900 " +
	"modprobe.blacklist=kvm_amd,kvm_intel,kvm tsc=reliable mitigations=off no5lvl"

// start boots a machine on a fresh copy of the disk. Its console goes to a
// file in the run's folder.
func (h *host) start(ctx context.Context) (*machine, error) {
	path := func(name string) string { return filepath.Join(h.dir, name) }
	base, err := filepath.Abs(h.image.disk)
	if err != nil {
		return nil, err
	}
	if out, err := h.tools.command(ctx, "usr/bin/qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", path("disk.qcow2")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make the machine's disk: %w: %s", err, out)
	}
	firmware := filepath.Join(h.tools.root, "usr/share")
	qemu := h.tools.command(ctx, "usr/bin/qemu-system-x86_64", "-nodefaults", "-display", "none", "-nic", "none",
		"-L", filepath.Join(firmware, "qemu"), "-L", filepath.Join(firmware, "seabios"),
		"-accel", accelerator(), "-cpu", "max", "-smp", "2", "-m", "3072", "-rtc", "base=utc,clock=vm",
		"-kernel", h.image.kernel, "-initrd", h.image.initrd, "-append", kernelFlags,
		"-drive", "file="+path("disk.qcow2")+",if=virtio,cache=unsafe", "-drive", "file="+h.files+",if=virtio,format=raw,readonly=on",
		"-serial", "file:"+path("console.log"), "-qmp", "unix:"+path("monitor")+",server=on,wait=off",
		"-device", "virtio-serial", "-chardev", "socket,id=line,server=on,wait=off,path="+path("line"), "-device", "virtserialport,chardev=line,name="+wire.Port,
		"-device", "virtio-rng-pci")
	log, err := os.Create(path("qemu.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	qemu.Stdout, qemu.Stderr = log, log
	if err := qemu.Start(); err != nil {
		return nil, fmt.Errorf("start qemu: %w", err)
	}
	m := &machine{dir: h.dir, qemu: qemu, done: make(chan error, 1)}
	go func() { m.done <- qemu.Wait() }()
	if err := m.connect(ctx); err != nil {
		return nil, errors.Join(err, m.stop())
	}
	if err := m.awaitBoot(ctx); err != nil {
		return nil, errors.Join(err, m.stop())
	}
	return m, nil
}

// connect takes qemu's lines.
func (m *machine) connect(ctx context.Context) error {
	conn, err := m.dial(ctx, "monitor")
	if err != nil {
		return err
	}
	if m.monitor, err = newMonitor(conn); err != nil {
		return err
	}
	if conn, err = m.dial(ctx, "line"); err != nil {
		return err
	}
	m.line = newLine(conn)
	return nil
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

// stop ends the machine as a power cut does.
func (m *machine) stop() error {
	if m.line != nil {
		m.line.close()
	}
	if m.monitor != nil {
		_ = m.monitor.conn.Close()
	}
	if err := m.qemu.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-m.done
	return os.Remove(filepath.Join(m.dir, "disk.qcow2"))
}
