package harness

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is a command on a terminal, as a person would use it.
type Terminal struct {
	*Running
	master *os.File
}

// Terminal starts kubectl with a pseudo terminal as its controlling one.
func (k Kubectl) Terminal(t testing.TB, args ...string) *Terminal {
	t.Helper()
	master, slave, err := openPTY()
	if err != nil {
		t.Fatalf("open a terminal: %v", err)
	}
	defer slave.Close()
	in := k.input(args)
	in.Env = []string{"TERM=xterm"}
	in.Prepare = func(cmd *exec.Cmd) {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	term := &Terminal{Running: k.cluster.Start(t, in), master: master}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(term.Running, master) // ends with EIO when the command has gone
	}()
	t.Cleanup(func() {
		term.Stop()
		_ = master.Close()
		<-copied
	})
	return term
}

// Type sends text as if typed.
func (t *Terminal) Type(tb testing.TB, text string) {
	tb.Helper()
	if _, err := t.master.WriteString(text); err != nil {
		tb.Fatalf("type: %v", err)
	}
}

// Resize changes the terminal's size.
func (t *Terminal) Resize(tb testing.TB, columns, rows uint16) {
	tb.Helper()
	if err := unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		tb.Fatalf("resize: %v", err)
	}
}

func openPTY() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock: %w", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, fmt.Errorf("number: %w", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}
