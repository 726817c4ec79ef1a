// Package stdio makes the standard streams of a container, has knarr-keep hold
// them, finds them again after a restart, and lets clients attach to them.
package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/runc/libcontainer/utils"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keeper"
	"github.com/knarr-io/knarr/runtime/launch"
	"github.com/knarr-io/knarr/runtime/logs"
)

// Streams are the runtime's ends of a container's standard streams. Without a
// terminal that is a pipe per output; with one it is the terminal's master and
// a pipe that its output passes through on the way to the log.
type Streams struct {
	// Taps are the attached clients.
	Taps Fanout

	keeper *keeper.Keeper
	id     string
	tty    bool
	files  []*os.File // stdout and stderr; or master, pipe out, pipe in

	mu    sync.Mutex
	stdin *os.File
}

func outKey(id string) string { return "stdio/" + id }
func inKey(id string) string  { return "stdin/" + id }

// Child are the container's ends; they are closed after it was created.
type Child struct {
	launch.Stdio
	console *os.File // the runtime's end of the console socket
}

// Close closes the child's ends.
func (c *Child) Close() {
	for _, f := range []*os.File{c.Stdin, c.Stdout, c.Stderr, c.Console, c.console} {
		if f != nil {
			f.Close()
		}
	}
}

// New makes the streams of container id. Those without a terminal are held at
// once; with one, Terminal must follow the creation of the container.
func New(k *keeper.Keeper, id string, tty, stdin bool) (*Streams, *Child, error) {
	s := &Streams{keeper: k, id: id, tty: tty}
	c := &Child{}
	var err error
	if tty {
		c.console, c.Console, err = utils.NewSockPair("console")
	} else {
		err = s.pipes(c, stdin)
	}
	if err != nil {
		c.Close()
		s.Close()
		return nil, nil, fmt.Errorf("container streams: %w", err)
	}
	if !tty {
		k.Hold(outKey(id), s.files)
		if s.stdin != nil {
			k.Hold(inKey(id), []*os.File{s.stdin})
		}
	}
	return s, c, nil
}

func (s *Streams) pipes(c *Child, stdin bool) error {
	var out, err *os.File
	var fail error
	if out, c.Stdout, fail = pipe(); fail != nil {
		return fail
	}
	s.files = append(s.files, out)
	if err, c.Stderr, fail = pipe(); fail != nil {
		return fail
	}
	s.files = append(s.files, err)
	if !stdin {
		c.Stdin, fail = os.OpenFile(os.DevNull, os.O_RDONLY, 0)
		return fail
	}
	var p [2]int
	if fail = unix.Pipe2(p[:], unix.O_CLOEXEC); fail != nil {
		return fail
	}
	c.Stdin = os.NewFile(uintptr(p[0]), "stdin")
	if fail = unix.SetNonblock(p[1], true); fail != nil {
		return fail
	}
	s.stdin = os.NewFile(uintptr(p[1]), "stdin")
	return nil
}

// pipe returns a pipe whose read end does not block and whose write end does.
func pipe() (r, w *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(p[0]), "output"), os.NewFile(uintptr(p[1]), "output"), nil
}

// Terminal receives the terminal that the container was created with, and has it held.
func (s *Streams) Terminal(c *Child) error {
	file, err := ReceiveTerminal(c.console)
	if err != nil {
		return err
	}
	r, w, err := pipe()
	if err != nil {
		file.Close()
		return err
	}
	s.files = []*os.File{file, r, w}
	s.keeper.Hold(outKey(s.id), s.files)
	return nil
}

// ReceiveTerminal receives the master of a terminal from the console socket.
func ReceiveTerminal(console *os.File) (*os.File, error) {
	master, err := utils.RecvFile(console)
	if err != nil {
		return nil, fmt.Errorf("container terminal: %w", err)
	}
	return nonblocking(master)
}

// nonblocking reopens f for the runtime's poller; f is closed.
func nonblocking(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// Recover finds the streams of a container that was started by an earlier
// runtime. The error is os.ErrNotExist if keep does not hold them.
func Recover(k *keeper.Keeper, id string, tty bool) (*Streams, error) {
	files, err := k.Take(outKey(id))
	if err != nil {
		return nil, err
	}
	want := 2
	if tty {
		want = 3
	}
	if len(files) != want {
		return nil, fmt.Errorf("streams of %s: %w", id, os.ErrNotExist)
	}
	s := &Streams{keeper: k, id: id, tty: tty, files: files}
	in, err := k.Take(inKey(id))
	if err != nil {
		return nil, err
	}
	if len(in) == 1 {
		s.stdin = in[0]
	}
	return s, nil
}

// Pump moves the container's output into w until it ends. It returns when every stream has.
func (s *Streams) Pump(w *logs.Writer) error {
	if s.tty {
		return w.Pump(logs.Stdout, logs.TerminalSource{Master: s.files[0], R: s.files[1], W: s.files[2]}, s.Taps.tap(logs.Stdout))
	}
	errs := make(chan error, 1)
	go func() { errs <- w.Pump(logs.Stderr, logs.PipeSource{File: s.files[1]}, s.Taps.tap(logs.Stderr)) }()
	err := w.Pump(logs.Stdout, logs.PipeSource{File: s.files[0]}, s.Taps.tap(logs.Stdout))
	return errors.Join(err, <-errs)
}

// Finish has Pump end with what is there, though somebody may keep the streams open.
func (s *Streams) Finish() {
	outputs := s.files
	if s.tty {
		outputs = s.files[:1]
	}
	for _, f := range outputs {
		_ = f.SetReadDeadline(time.Unix(1, 0)) // of one that is closed there is nothing to come
	}
}

// TTY says whether the streams are a terminal.
func (s *Streams) TTY() bool { return s.tty }

// Stdin returns where to write the container's input; nil if it has none.
func (s *Streams) Stdin() io.Writer {
	if s.tty {
		return s.files[0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdin == nil {
		return nil
	}
	return s.stdin
}

// CloseStdin ends the container's input, for good.
func (s *Streams) CloseStdin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdin != nil {
		s.keeper.Drop(inKey(s.id))
		s.stdin.Close()
		s.stdin = nil
	}
}

// Resize sets the size of the terminal.
func (s *Streams) Resize(width, height uint16) error {
	if !s.tty {
		return nil
	}
	return ResizeTerminal(s.files[0], width, height)
}

// ResizeTerminal sets the size of a terminal by its master.
func ResizeTerminal(master *os.File, width, height uint16) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var ierr error
	if err := raw.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width})
	}); err != nil {
		return err
	}
	return ierr
}

// Close closes the runtime's ends, which ends Pump. Keep goes on holding its own.
func (s *Streams) Close() {
	s.Taps.Close()
	for _, f := range s.files {
		f.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdin != nil {
		s.stdin.Close()
		s.stdin = nil
	}
}

// Drop has keep let go of the streams of container id.
func Drop(k *keeper.Keeper, id string) {
	k.Drop(outKey(id))
	k.Drop(inKey(id))
}
