// Package fdconn reads and writes lines with file descriptors over a Unix
// stream socket. A Conn owns descriptors that it received until the caller
// takes them; Close closes the rest. It serves one reader and one writer.
package fdconn

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// errTooLong says that a peer sent a line above the limit.
var errTooLong = errors.New("line is too long")

// Conn is a line connection. Not safe for concurrent readers or concurrent writers.
type Conn struct {
	sock *net.UnixConn
	max  int
	nfds int
	buf  []byte
	fds  []int
}

// New wraps sock. Lines may have max bytes, and nfds descriptors may wait to be taken.
func New(sock *net.UnixConn, max, nfds int) *Conn {
	return &Conn{sock: sock, max: max, nfds: nfds}
}

// Close closes the socket and every descriptor that was not taken.
func (c *Conn) Close() error {
	for _, fd := range c.fds {
		unix.Close(fd)
	}
	c.fds = nil
	return c.sock.Close()
}

// Sock returns the socket, for credentials and deadlines.
func (c *Conn) Sock() *net.UnixConn { return c.sock }

// ReadLine returns the next line without its newline. The slice is the caller's.
func (c *Conn) ReadLine() ([]byte, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(c.buf[scanned:], '\n'); i >= 0 {
			line := bytes.Clone(c.buf[:scanned+i])
			c.buf = append(c.buf[:0], c.buf[scanned+i+1:]...)
			if cap(c.buf) > 64<<10 && len(c.buf) == 0 {
				c.buf = nil
			}
			return line, nil
		}
		scanned = len(c.buf)
		if scanned >= c.max {
			return nil, errTooLong
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

func (c *Conn) fill() error {
	var chunk [4096]byte
	oob := make([]byte, unix.CmsgSpace(4*c.nfds))
	n, oobn, flags, _, err := c.sock.ReadMsgUnix(chunk[:], oob)
	if perr := c.collect(oob[:oobn]); perr != nil {
		return perr
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return net.ErrClosed
	}
	if flags&unix.MSG_CTRUNC != 0 || len(c.fds) > c.nfds {
		return errors.New("peer sent too many descriptors")
	}
	c.buf = append(c.buf, chunk[:n]...)
	return nil
}

func (c *Conn) collect(oob []byte) error {
	if len(oob) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
		c.fds = append(c.fds, fds...)
	}
	return nil
}

// Take hands over the next n received descriptors, close-on-exec, which the caller must close.
func (c *Conn) Take(n int) ([]int, error) {
	if n < 0 || n > len(c.fds) {
		return nil, fmt.Errorf("line names %d descriptors, %d came", n, len(c.fds))
	}
	out := append([]int(nil), c.fds[:n]...)
	c.fds = append(c.fds[:0], c.fds[n:]...)
	return out, nil
}

// TakeFiles is Take as files.
func (c *Conn) TakeFiles(n int) ([]*os.File, error) {
	fds, err := c.Take(n)
	if err != nil {
		return nil, err
	}
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "held")
	}
	return files, nil
}

// WriteLine writes line and a newline, with fds on its first byte. The caller keeps fds.
func (c *Conn) WriteLine(line []byte, fds []int) error {
	msg := make([]byte, 0, len(line)+1)
	msg = append(append(msg, line...), '\n')
	if len(msg) > c.max {
		return errTooLong
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for len(msg) > 0 {
		n, _, err := c.sock.WriteMsgUnix(msg, oob, nil)
		if err != nil {
			return err
		}
		msg, oob = msg[n:], nil
	}
	return nil
}
