// Command knarr-keep is parent and subreaper of a node's processes.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/keep"
	"github.com/knarr-io/knarr/runtime/keep/supervisor"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == supervisor.ExecArg {
		os.Exit(supervisor.ExecService())
	}
	// A heap this small is collected in microseconds; a low target keeps it resident-small.
	debug.SetGCPercent(25)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "knarr-keep:", err)
		os.Exit(1)
	}
}

func run() error {
	socket := flag.String("socket", "/run/knarr/keep.sock", "control socket")
	state := flag.String("state", "/var/lib/knarr/keep", "folder of what outlives keep")
	logFile := flag.String("log", "", "log file (standard error if empty)")
	flag.Parse()
	if os.Geteuid() != 0 {
		return fmt.Errorf("must run as root: it is the parent of containers")
	}
	out := os.Stderr
	if *logFile != "" {
		f, err := os.OpenFile(*logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		out = f
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	return keep.Run(ctx, keep.Config{Socket: *socket, State: *state, LogFile: *logFile, Log: slog.New(slog.NewTextHandler(out, nil))})
}
