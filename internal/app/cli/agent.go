package cli

import (
	"os"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/knarr-io/knarr/internal/app/agent"
)

func newAgent() *cobra.Command {
	var c clusterFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run a node in the foreground (what `knarr up --nodes` supervises)",
		Args:  cobra.NoArgs,
	}
	c.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := c.read(cmd); err != nil {
			return err
		}
		logger, err := newLogger(os.Stderr, c.LogLevel)
		if err != nil {
			return err
		}
		klog.SetSlogLogger(logger.With("part", "libraries"))
		return agent.Run(cmd.Context(), agent.Options{Settings: c.Settings, Logger: logger})
	}
	return cmd
}
