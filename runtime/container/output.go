package container

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminalHolds is more than a terminal keeps of what nobody has read, in bytes.
const terminalHolds = 128 << 10

// output reads what a process writes to a pipe or a terminal. From the read
// deadline of the file on it waits for nothing more, but what is there already
// still comes: a client who is slow loses nothing.
type output struct {
	file *os.File
	late bool
	left int // what may still come when it is late
}

func (o *output) Read(p []byte) (int, error) {
	if !o.late {
		n, err := o.file.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		o.late, o.left = true, o.holds()
	}
	n, err := o.rest(p[:min(len(p), o.left)])
	if n <= 0 || err != nil {
		return 0, io.EOF
	}
	o.left -= n
	return n, nil
}

// holds is how much can be there: who writes on must not be read for ever.
func (o *output) holds() int {
	size := terminalHolds
	_ = o.control(func(fd int) {
		if n, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err == nil {
			size = n
		}
	})
	return size
}

// rest reads without waiting.
func (o *output) rest(p []byte) (n int, err error) {
	cerr := o.control(func(fd int) {
		for {
			if n, err = unix.Read(fd, p); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	return n, errors.Join(cerr, err)
}

func (o *output) control(f func(fd int)) error {
	raw, err := o.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}
