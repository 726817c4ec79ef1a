package cli

import (
	"cmp"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/knarr-io/knarr/internal/app/agent"
	"github.com/knarr-io/knarr/internal/network/peers"
)

func newAgent() *cobra.Command {
	var c clusterFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run a node in the foreground (what `knarr up --server` supervises)",
		Args:  cobra.NoArgs,
	}
	c.register(cmd.Flags())
	c.registerServer(cmd.Flags())
	cmd.Flags().StringVar(&c.Behind, "behind", "", "node that other machines reach this one by (set for nodes in network namespaces)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := c.read(cmd); err != nil {
			return err
		}
		c.Overlay = cmp.Or(c.Overlay, string(peers.Auto))
		logger, err := newLogger(os.Stderr, c.LogLevel)
		if err != nil {
			return err
		}
		if !c.NodeAddress.IsValid() {
			if c.NodeAddress, err = c.FindAddress(); err != nil {
				return err
			}
		}
		klog.SetSlogLogger(logger.With("part", "libraries"))
		return agent.Run(cmd.Context(), agent.Options{Settings: c.Settings, Logger: logger})
	}
	return cmd
}
