package cli

import (
	"github.com/spf13/cobra"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/progress"
	"github.com/knarr-io/knarr/internal/app/systemd"
)

func newDown() *cobra.Command {
	var c clusterFlags
	var output string
	var purge bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster on this machine",
		Long: `Stop the cluster and everything that runs in it. The machine is left as it was,
but for the data: "knarr up" brings the same cluster back and starts its pods
again. With --purge the data goes too, for good.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "also remove the cluster's data: objects, images, volumes, logs, certificates")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json: one object per line, for programs")
	c.registerToFind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		run, err := c.begin(cmd, output)
		if err != nil {
			return err
		}
		was, err := local.Down(cmd.Context(), c.Settings, run.target, purge, run.board, run.logger)
		if err != nil {
			return err
		}
		if systemd.Installed() {
			run.board.Say("%s still starts it at boot; `knarr uninstall` removes that.", systemd.UnitName)
		}
		switch {
		case !was:
		case purge:
			run.board.Say("The cluster and its data are gone (%s).", progress.Short(run.board.Took()))
		default:
			run.board.Say("The cluster is down (%s). `knarr up` brings it back; `knarr down --purge` removes its data.", progress.Short(run.board.Took()))
		}
		return nil
	}
	return cmd
}

func newStatus() *cobra.Command {
	var c clusterFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell what runs, what is unhealthy and why",
		Args:  cobra.NoArgs,
	}
	c.registerToFind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := c.read(cmd); err != nil {
			return err
		}
		healthy, err := local.Status(cmd.Context(), c.Settings, cmd.OutOrStdout())
		if err == nil && !healthy {
			return exitCode(1)
		}
		return err
	}
	return cmd
}
