package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/kubeconfig"
)

func newUp() *cobra.Command {
	var c clusterFlags
	var output, token string
	var foreground bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the cluster on this machine up",
		Long: `Bring the cluster on this machine up, in the background, and write the context
"knarr" into your kubeconfig. A cluster that was down comes back with all that
is in it; one that runs already is left alone. Its networks, ports and folders need not
be said again, other settings do: a file (--config) or "knarr install" keeps them.

With --server this machine becomes a node of a cluster on another one; "knarr
token create" there prints the whole command.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json: one object per line, for programs")
	cmd.Flags().BoolVar(&foreground, "foreground", false, "stay, show the server's log, and stop the cluster on Ctrl-C")
	cmd.Flags().IntVar(&c.Count, "nodes", 0, "nodes on this machine; those besides the first live in network namespaces of their own (default: as many as there were, at first 1)")
	cmd.Flags().StringVar(&token, "token", "", `token to join the cluster at --server with, the first time ("knarr token create" makes one)`)
	c.register(cmd.Flags())
	c.registerServer(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		run, err := c.begin(cmd, output)
		if err != nil {
			return err
		}
		if err := c.checkRegistries(); err != nil {
			return err
		}
		if cmd.Flags().Changed("nodes") && c.Count < 1 {
			return fmt.Errorf("--nodes %d: want 1 or more", c.Count)
		}
		c.asBefore(cmd.Flags())
		result, err := upOrJoin(cmd.Context(), c.Settings, token, run)
		switch {
		case err != nil && foreground && cmd.Context().Err() != nil:
			return takeDown(cmd.Context(), c.Settings, run) // it was to stop before it was ready
		case err != nil, !foreground:
			return err
		}
		return stay(cmd.Context(), result.Settings, run)
	}
	return cmd
}

// stay shows the log until Ctrl-C or a service manager's signal, and then takes
// the cluster down, unless somebody else did.
func stay(ctx context.Context, s local.Settings, run localRun) error {
	// Without a service manager that waits for it this does nothing.
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		run.logger.Warn("the service manager was not told that the cluster is ready", "error", err)
	}
	err := local.Watch(ctx, s, os.Stdout)
	if errors.Is(err, local.ErrTakenDown) {
		return nil
	}
	if err != nil {
		return err
	}
	return takeDown(ctx, s, run)
}

// takeDown does what a signal asks for, which has ended the context: that takes
// a moment more.
func takeDown(ctx context.Context, s local.Settings, run localRun) error {
	_, err := local.Down(context.WithoutCancel(ctx), s, run.target, false, progress.New(os.Stderr, progress.Plain), run.logger)
	return err
}

// upOrJoin brings up what is asked for and tells of it.
func upOrJoin(ctx context.Context, s local.Settings, token string, run localRun) (result local.Result, err error) {
	switch {
	case s.Server != "" && s.Count > 1:
		return result, errors.New("--nodes and --server do not go together: a machine that joins is one node")
	case s.Server != "":
		result, err = local.Join(ctx, s, token, run.board, run.logger)
	case token != "":
		return result, errors.New("--token is for joining a cluster: --server is missing")
	default:
		result, err = local.Up(ctx, s, run.target, run.board, run.logger)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = remedy.For(err, "free some space, or choose another place with --data-dir")
	}
	if err != nil {
		return result, err
	}
	if result.Settings.Server != "" {
		tellJoined(run.board, result)
	} else {
		tellUp(run.board, result)
	}
	return result, nil
}

func tellJoined(board *progress.Board, r local.Result) {
	s := r.Settings
	tellNotes(board, r)
	board.Say("Ready in %s: node %s (%s) of the cluster at %s", progress.Short(board.Took()), s.NodeName, s.NodeAddress, s.Server)
	board.Result(map[string]any{"ready": true, "already": r.Already, "milliseconds": board.Took().Milliseconds(),
		"node": s.NodeName, "nodeAddress": s.NodeAddress.String(), "server": s.Server, "moved": r.Moved})
}

// localRun is what the commands that change the cluster work with.
type localRun struct {
	board  *progress.Board
	logger *slog.Logger
	target kubeconfig.Target
}

// begin reads the settings and finds the person's kubeconfig.
func (c *clusterFlags) begin(cmd *cobra.Command, output string) (run localRun, err error) {
	if err := c.read(cmd); err != nil {
		return run, err
	}
	if run.board, err = newBoard(output); err != nil {
		return run, err
	}
	if run.logger, err = newLogger(os.Stderr, "warn"); err != nil {
		return run, err
	}
	run.target, err = kubeconfig.Locate(os.Getenv, os.Geteuid())
	return run, err
}

func newBoard(output string) (*progress.Board, error) {
	switch {
	case output == "json":
		return progress.New(os.Stdout, progress.JSON), nil
	case output != "":
		return nil, fmt.Errorf("--output %q: want json, or nothing", output)
	case term.IsTerminal(int(os.Stdout.Fd())):
		return progress.New(os.Stdout, progress.Live), nil
	}
	return progress.New(os.Stdout, progress.Plain), nil
}

// tellNotes tells what is missing, though all the rest goes well.
func tellNotes(board *progress.Board, r local.Result) {
	for _, note := range r.Notes {
		board.Say("! %s", note)
	}
}

func tellUp(board *progress.Board, r local.Result) {
	tellNotes(board, r)
	aside := ""
	if len(r.Moved) > 0 {
		aside = " (" + strings.Join(r.Moved, "; ") + ")"
	}
	ready := "Ready"
	if r.Already {
		ready = "The cluster was up already; ready"
	}
	board.Say("%s in %s%s. Try: knarr kubectl get pods -A   (kubectl works too: context \"knarr\" in %s)", ready, progress.Short(board.Took()), aside, r.Kubeconfig)
	board.Result(map[string]any{
		"ready": true, "already": r.Already, "milliseconds": board.Took().Milliseconds(), "kubeconfig": r.Kubeconfig, "context": "knarr",
		"node": r.Settings.NodeName, "nodeAddress": r.Settings.NodeAddress.String(), "moved": r.Moved,
		"apiPort": r.Settings.APIPort, "httpPort": r.Settings.HTTPPort, "httpsPort": r.Settings.HTTPSPort,
	})
}
