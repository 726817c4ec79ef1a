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
}

// machine is a running virtual machine.
type machine struct {
	*line
	dir  string
	qemu *exec.Cmd
	done chan error
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

// start boots a machine on a fresh copy of the disk. Its console goes to a
// file in its folder.
func (h host) start(ctx context.Context, name string) (*machine, error) {
	dir := filepath.Join(h.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	disk, socket := filepath.Join(dir, "disk.qcow2"), filepath.Join(dir, "line")
	base, err := filepath.Abs(h.image.disk)
	if err != nil {
		return nil, err
	}
	if out, err := h.tools.command(ctx, "usr/bin/qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", disk).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make the machine's disk: %w: %s", err, out)
	}
	firmware := filepath.Join(h.tools.root, "usr/share")
	qemu := h.tools.command(ctx, "usr/bin/qemu-system-x86_64", "-nodefaults", "-display", "none", "-nic", "none",
		"-L", filepath.Join(firmware, "qemu"), "-L", filepath.Join(firmware, "seabios"),
		"-accel", accelerator(), "-cpu", "max", "-smp", "2", "-m", "3072", "-rtc", "base=utc",
		"-kernel", h.image.kernel, "-initrd", h.image.initrd, "-append", "root=LABEL=root rw console=ttyS0 quiet panic=1 systemd.default_timeout_start_sec=900 modprobe.blacklist=kvm_amd,kvm_intel,kvm",
		"-drive", "file="+disk+",if=virtio,cache=unsafe", "-drive", "file="+h.files+",if=virtio,format=raw,readonly=on",
		"-serial", "file:"+filepath.Join(dir, "console.log"),
		"-device", "virtio-serial", "-chardev", "socket,id=line,server=on,wait=off,path="+socket, "-device", "virtserialport,chardev=line,name="+wire.Port,
		"-device", "virtio-rng-pci")
	log, err := os.Create(filepath.Join(dir, "qemu.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	qemu.Stdout, qemu.Stderr = log, log
	if err := qemu.Start(); err != nil {
		return nil, fmt.Errorf("start qemu: %w", err)
	}
	m := &machine{dir: dir, qemu: qemu, done: make(chan error, 1)}
	go func() { m.done <- qemu.Wait() }()
	if err := m.connect(ctx, socket); err != nil {
		return nil, errors.Join(err, m.stop())
	}
	if err := m.awaitBoot(ctx); err != nil {
		return nil, errors.Join(err, m.stop())
	}
	return m, nil
}

// connect takes the serial line as soon as qemu offers it.
func (m *machine) connect(ctx context.Context, socket string) error {
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			m.line = newLine(conn)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-m.done:
			m.done <- err
			return fmt.Errorf("qemu ended: %w (see %s)", err, filepath.Join(m.dir, "qemu.log"))
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
		m.close()
	}
	if err := m.qemu.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-m.done
	return os.Remove(filepath.Join(m.dir, "disk.qcow2"))
}
