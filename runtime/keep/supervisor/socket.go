package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// filer is a socket that gives a duplicate of its descriptor.
type filer interface {
	File() (*os.File, error)
	Close() error
}

// openSocket binds s and returns the descriptor, close-on-exec, which the caller owns.
func openSocket(s wire.Socket) (int, error) {
	sock, err := bind(s)
	if err != nil {
		return -1, bindError(s, err)
	}
	defer sock.Close()
	file, err := sock.File()
	if err != nil {
		return -1, bindError(s, err)
	}
	defer file.Close()
	return unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

func bind(s wire.Socket) (filer, error) {
	switch {
	case strings.HasPrefix(s.Network, "tcp"):
		ln, err := net.Listen(s.Network, s.Address)
		if err != nil {
			return nil, err
		}
		return ln.(*net.TCPListener), nil
	case strings.HasPrefix(s.Network, "udp"):
		pc, err := net.ListenPacket(s.Network, s.Address)
		if err != nil {
			return nil, err
		}
		return pc.(*net.UDPConn), nil
	case s.Network == "unix":
		return bindUnix(s)
	}
	return nil, &wire.Error{Code: wire.CodeInvalid, Message: "unknown network " + s.Network}
}

// bindUnix replaces a socket file that nobody listens on, and only such a file.
func bindUnix(s wire.Socket) (filer, error) {
	if fi, err := os.Lstat(s.Address); err == nil && fi.Mode()&os.ModeSocket != 0 {
		if c, err := net.Dial("unix", s.Address); err == nil {
			c.Close()
			return nil, unix.EADDRINUSE
		}
		os.Remove(s.Address)
	}
	old := unix.Umask(0o177)
	ln, err := net.Listen("unix", s.Address)
	unix.Umask(old)
	if err != nil {
		return nil, err
	}
	ul := ln.(*net.UnixListener)
	ul.SetUnlinkOnClose(false)
	if s.Mode != 0 {
		if err := os.Chmod(s.Address, os.FileMode(s.Mode)&os.ModePerm); err != nil {
			ul.Close()
			return nil, err
		}
	}
	return ul, nil
}

// bindError names the errno, so that the caller can try the next port.
func bindError(s wire.Socket, err error) error {
	var we *wire.Error
	if errors.As(err, &we) {
		return we
	}
	code := wire.CodeInternal
	var errno unix.Errno
	if errors.As(err, &errno) {
		code = unix.ErrnoName(errno)
	}
	return &wire.Error{Code: code, Message: fmt.Sprintf("listen on %s %s: %v", s.Network, s.Address, err)}
}
