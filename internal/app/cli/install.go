package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/payload"
	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/app/systemd"
	"github.com/knarr-io/knarr/internal/base/remedy"
)

// programPath is where the program is put if it lies where a service should
// not look for it, such as in somebody's home.
const programPath = "/usr/local/bin/knarr"

// environmentFile holds what the service must know of the environment, for
// root alone: addresses of proxies may hold passwords.
func environmentFile(dataDir string) string { return filepath.Join(dataDir, "service.env") }

func newInstall() *cobra.Command {
	var c clusterFlags
	var output string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Make the cluster a service of this machine that starts at boot",
		Long: `Make the cluster a service of systemd, knarr.service, with the settings given
here, and start it. It comes back after each boot; "systemctl stop knarr" takes
the cluster down in order, and "journalctl -u knarr" shows its log. A cluster
that runs already goes on. "knarr uninstall" undoes it.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json: one object per line, for programs")
	cmd.Flags().IntVar(&c.Count, "nodes", 0, "nodes on this machine (default: as many as there were, at first 1)")
	c.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		run, err := c.begin(cmd, output)
		if err != nil {
			return err
		}
		if err := errors.Join(canInstall(), c.checkRegistries()); err != nil {
			return err
		}
		if err := installService(cmd.Context(), cmd.Flags(), c.DataDir, run); err != nil {
			return err
		}
		c.asBefore(cmd.Flags())
		result, err := local.Up(cmd.Context(), c.Settings, run.target, run.board, run.logger)
		if err != nil {
			return err
		}
		tellUp(run.board, result)
		return nil
	}
	return cmd
}

// canInstall refuses where there is nothing to install into.
func canInstall() error {
	if os.Geteuid() != 0 {
		return remedy.New("services of the machine belong to root", "run it again with sudo")
	}
	if !systemd.Running() {
		return remedy.New("systemd does not run on this machine", "have your service manager run `knarr up --foreground`, which stops the cluster on SIGTERM")
	}
	return nil
}

func installService(ctx context.Context, flags *pflag.FlagSet, dataDir string, run localRun) error {
	step := run.board.Step("install " + systemd.UnitName)
	service := systemd.Service{Flags: chosen(flags), Environment: person(os.Environ(), run.target.Path), EnvironmentFile: environmentFile(dataDir)}
	var err error
	if service.Program, service.Copied, err = settle(); err != nil {
		return step.End(err)
	}
	if err := os.MkdirAll(dataDir, 0o711); err != nil {
		return step.End(err)
	}
	if err := os.WriteFile(service.EnvironmentFile, systemd.EncodeEnvironment(local.Proxies(os.Environ())), 0o600); err != nil {
		return step.End(err)
	}
	return step.End(systemd.Install(ctx, service))
}

// chosen are the settings that differ from their defaults, from wherever they
// come, as flags.
func chosen(flags *pflag.FlagSet) []string {
	var out []string
	flags.Visit(func(f *pflag.Flag) {
		if f.Name != "output" && f.Name != "config" {
			out = append(out, "--"+f.Name+"="+f.Value.String())
		}
	})
	return out
}

// person are the variables by which the service finds the kubeconfig of who
// installed it.
func person(environ []string, kubeconfig string) []string {
	out := []string{"HOME=/root", "KUBECONFIG=" + kubeconfig}
	for _, e := range environ {
		if strings.HasPrefix(e, "SUDO_USER=") {
			out = append(out, e)
		}
	}
	return out
}

// settle finds the program a place that a service can rely on.
func settle() (program string, copied bool, err error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", false, fmt.Errorf("find the running program: %w", err)
	}
	for _, place := range []string{"/usr/", "/opt/"} {
		if strings.HasPrefix(self, place) {
			return self, false, nil
		}
	}
	return programPath, true, payload.Copy(self, programPath)
}

func newUninstall() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Stop the service of the cluster, and remove it",
		Long: `Stop knarr.service, which takes the cluster down, and remove it: nothing of
Knarr starts at boot any longer. The cluster's data stays; "knarr down --purge"
removes that.`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := canInstall(); err != nil {
			return err
		}
		board := progress.New(cmd.OutOrStdout(), progress.Plain)
		if !systemd.Installed() {
			board.Step("nothing to remove").Done("there is no " + systemd.UnitFile)
			return nil
		}
		if err := board.Step("remove " + systemd.UnitName).End(systemd.Uninstall(cmd.Context())); err != nil {
			return err
		}
		board.Say("The service is gone and the cluster is down (%s). Its data stays: `knarr up` starts it, `knarr down --purge` removes it.", progress.Short(board.Took()))
		return nil
	}
	return cmd
}
