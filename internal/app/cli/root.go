// Package cli is the command line: one file per command, each of which reads
// its settings, calls the package that does the work, and prints the outcome.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/knarr-io/knarr/internal/app/settings"
)

// Main runs the command line and returns the exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second one ends what does not heed the first
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var quiet exitCode
	if errors.As(err, &quiet) {
		return int(quiet)
	}
	fmt.Fprintf(os.Stderr, "knarr: %v\n", err)
	return 1
}

// exitCode ends the program without another word.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Command is the whole command line, for documents that are made from it.
func Command() *cobra.Command { return newRoot() }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "knarr",
		Short: "All of Kubernetes in one small ship",
		Long: `Knarr runs a Kubernetes cluster on this machine: one program, one command.

  knarr up                     bring the cluster up
  knarr kubectl get nodes      talk to it (a plain kubectl works as well)
  knarr status                 see what runs, and what does not
  knarr down                   stop it; up brings the same cluster back
  knarr install                have it start at boot, as a service`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(nameTheNearest)
	root.SetUsageFunc(usage)
	root.AddCommand(newUp(), newDown(), newStatus(), newInstall(), newUninstall(), newServer(), newAgent(), newEdge(), newImage(), newNode(), newToken(), newCert(), newEncryption(), newExplain(), newKubectl(), newHelm(), newVersion())
	fitArguments(root)
	return root
}

// fitArguments has a command that was given the wrong arguments say which it
// takes.
func fitArguments(cmd *cobra.Command) {
	if fit := cmd.Args; fit != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if fit(cmd, args) == nil {
				return nil
			}
			wrong := "these arguments do not fit"
			if len(args) == 0 {
				wrong = "an argument is missing"
			}
			return fmt.Errorf("%s: want `%s` (see `%s --help`)", wrong, cmd.UseLine(), cmd.CommandPath())
		}
	}
	for _, c := range cmd.Commands() {
		fitArguments(c)
	}
}

// values say what flags of a type want.
func values(kind string) string {
	return map[string]string{"int": "a number", "bool": "true or false", "duration": "a time such as 90s, 10m or 24h"}[kind]
}

// nameTheNearest adds to an unknown flag the one that was probably meant, and
// says of a value that is none what was wanted.
func nameTheNearest(cmd *cobra.Command, err error) error {
	if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) && values(invalid.GetFlag().Value.Type()) != "" {
		flag := invalid.GetFlag()
		return fmt.Errorf("--%s %q: want %s", flag.Name, invalid.GetValue(), values(flag.Value.Type()))
	}
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return fmt.Errorf("%w (see `%s --help`)", err, cmd.CommandPath())
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := settings.Nearest(name, known); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	return fmt.Errorf("%w (see `%s --help`)", err, cmd.CommandPath())
}

// holdOnly makes a command that holds others show its help, and refuse a name
// that none of them has.
func holdOnly(cmd *cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var known []string
		for _, c := range cmd.Commands() {
			known = append(known, c.Name())
		}
		if near := settings.Nearest(args[0], known); near != "" {
			return fmt.Errorf("unknown command %q for %q; did you mean %q?", args[0], cmd.CommandPath(), near)
		}
		return fmt.Errorf("unknown command %q for %q; there are %s", args[0], cmd.CommandPath(), strings.Join(known, ", "))
	}
}

// newLogger logs as text at the level.
func newLogger(out io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: l})), nil
}
