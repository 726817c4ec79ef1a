// Package keep is the program knarr-keep: parent and subreaper of a node's
// processes. It supervises services, holds descriptors for programs that may
// die, and records how orphans ended. It does as little as it can, so that it
// never has to stop; package wire describes how to speak with it.
package keep

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep/holds"
	"github.com/knarr-io/knarr/runtime/keep/reaper"
	"github.com/knarr-io/knarr/runtime/keep/server"
	"github.com/knarr-io/knarr/runtime/keep/supervisor"
	"github.com/knarr-io/knarr/runtime/keep/wire"
)

// Config is how keep is set up.
type Config struct {
	// Socket is the path of the control socket.
	Socket string
	// State is the folder of what outlives keep.
	State string
	Log   *slog.Logger
	// LogFile is where Log writes, to be bounded; it may be empty.
	LogFile string
}

// Run is keep: it returns after a shutdown, or when it cannot start. When ctx
// ends it stops every service first; containers go on.
func Run(ctx context.Context, cfg Config) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	for _, dir := range []string{cfg.State, filepath.Dir(cfg.Socket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	exits, err := reaper.Open(cfg.State)
	if err != nil {
		return err
	}
	sup, err := supervisor.New(cfg.State, cfg.Log)
	if err != nil {
		return err
	}
	sup.BoundLog(cfg.LogFile)
	earlier, err := takeOver()
	if err != nil {
		return err
	}
	table := holds.New(earlier.Holds)
	if earlier.Control != 0 {
		sup.Adopt(earlier.Services)
	}
	ln, err := listen(cfg.Socket, earlier.Control)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	reaping, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	srv := &server.Server{Log: cfg.Log, Supervisor: sup, Holds: table, Exits: exits, Shutdown: stop,
		Reexec: func(path string) error { return reexec(path, ln, sup, table) }}
	go reap(reaping, cfg.Log, sup, exits)
	go func() {
		<-serving.Done()
		ln.Close()
	}()
	srv.Serve(ln)
	if ctx.Err() != nil {
		return sup.StopAll()
	}
	return nil
}

// reap runs Reap whenever a child may have ended, and once at the start for
// those that ended during an exec.
func reap(ctx context.Context, log *slog.Logger, sup *supervisor.Supervisor, exits *reaper.Log) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	record := func(e wire.Exit) {
		if sup.Exited(e) {
			return
		}
		if err := exits.Append(e); err != nil {
			log.Error("cannot record an exit", "pid", e.PID, "error", err)
		}
	}
	for {
		if err := reaper.Reap(record); err != nil {
			log.Error("cannot reap", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
	}
}

// listen opens the control socket, or takes over the descriptor fd if it is not zero.
func listen(path string, fd int) (*net.UnixListener, error) {
	if fd != 0 {
		f := os.NewFile(uintptr(fd), "control")
		defer f.Close()
		ln, err := net.FileListener(f)
		if err != nil {
			return nil, err
		}
		return ln.(*net.UnixListener), nil
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("another knarr-keep answers on %s", path)
	}
	_ = os.Remove(path)
	old := unix.Umask(0o177)
	ln, err := net.Listen("unix", path)
	unix.Umask(old)
	if err != nil {
		return nil, err
	}
	return ln.(*net.UnixListener), nil
}
