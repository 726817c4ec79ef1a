package oci

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/runc/libcontainer/utils"
)

// consoleTime bounds the wait for a terminal after its container was made.
const consoleTime = 10 * time.Second

// console is a socket on which a program hands over a container's terminal.
type console struct {
	dir, path string
	listener  *net.UnixListener
}

// listenConsole listens for a terminal, if one is wanted: nil if not. The
// folder is a short one, since a socket's path has 107 bytes.
func listenConsole(below string, wanted *os.File) (*console, error) {
	if wanted == nil {
		return nil, nil
	}
	dir, err := os.MkdirTemp(below, "tty-")
	if err != nil {
		return nil, err
	}
	c := &console{dir: dir, path: filepath.Join(dir, "s")}
	c.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: c.path, Net: "unix"})
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("console socket: %w", err)
	}
	return c, nil
}

// pass receives the terminal and hands it to whoever reads from the other end of to.
func (c *console) pass(to *os.File) error {
	if err := c.listener.SetDeadline(time.Now().Add(consoleTime)); err != nil {
		return err
	}
	conn, err := c.listener.AcceptUnix()
	if err != nil {
		return fmt.Errorf("the runtime handed no terminal over: %w", err)
	}
	defer conn.Close()
	socket, err := conn.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	master, err := utils.RecvFile(socket)
	if err != nil {
		return fmt.Errorf("the runtime handed no terminal over: %w", err)
	}
	defer master.Close()
	return utils.SendFile(to, master)
}

func (c *console) close() {
	c.listener.Close()
	os.RemoveAll(c.dir)
}
