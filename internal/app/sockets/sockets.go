// Package sockets takes over listening sockets that a supervisor opened, by
// the protocol of sd_listen_fds(3).
package sockets

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// firstFD is the first inherited descriptor.
const firstFD = 3

// Set is what was inherited, by name.
type Set struct {
	Streams map[string][]net.Listener
	Packets map[string][]net.PacketConn
}

// Inherited takes the sockets over. It is called once: afterwards the
// environment no longer names them, so that no child takes them for its own.
func Inherited() (Set, error) {
	set := Set{Streams: map[string][]net.Listener{}, Packets: map[string][]net.PacketConn{}}
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, key := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(key); err != nil {
			return set, err
		}
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return set, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 64 {
		return set, fmt.Errorf("LISTEN_FDS=%q: want a small number", count)
	}
	byName := strings.Split(names, ":")
	for i := range n {
		name := "unknown"
		if i < len(byName) {
			name = byName[i]
		}
		if err := set.take(firstFD+i, name); err != nil {
			return set, fmt.Errorf("inherited socket %s: %w", name, err)
		}
	}
	return set, nil
}

func (s Set) take(fd int, name string) error {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // net works on duplicates
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil {
		return err
	}
	if kind == syscall.SOCK_DGRAM {
		c, err := net.FilePacketConn(f)
		s.Packets[name] = append(s.Packets[name], c)
		return err
	}
	l, err := net.FileListener(f)
	s.Streams[name] = append(s.Streams[name], l)
	return err
}
