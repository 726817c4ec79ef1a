package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/knarr-io/knarr/internal/app/local"
)

func newNode() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Stop, start and remove further nodes of this machine",
		Long: `Stop, start and remove the nodes besides the first that "knarr up --nodes" made on
this machine. A stopped node is to the cluster as a machine that was switched
off.`,
	}
	cmd.AddCommand(nodeStop(), nodeStart(), nodeRemove())
	holdOnly(cmd)
	return cmd
}

func nodeStop() *cobra.Command {
	var now bool
	cmd, run := nodeCommand("stop NAME", "Switch a node off; its data stays")
	cmd.Flags().BoolVar(&now, "now", false, "give its containers no time to end by themselves")
	cmd.RunE = run(func(cmd *cobra.Command, c *clusterFlags, r localRun, name string) error {
		return local.NodeStop(cmd.Context(), c.Settings, name, now, r.board, r.logger)
	})
	return cmd
}

func nodeStart() *cobra.Command {
	cmd, run := nodeCommand("start NAME", "Switch a stopped node on again")
	cmd.RunE = run(func(cmd *cobra.Command, c *clusterFlags, r localRun, name string) error {
		_, err := local.NodeStart(cmd.Context(), c.Settings, name, r.target, r.board, r.logger)
		return err
	})
	return cmd
}

func nodeRemove() *cobra.Command {
	cmd, run := nodeCommand("rm NAME", "Stop a node and take it out of the cluster, with its data")
	cmd.Aliases = []string{"remove"}
	cmd.RunE = run(func(cmd *cobra.Command, c *clusterFlags, r localRun, name string) error {
		return local.NodeRemove(cmd.Context(), c.Settings, name, r.board, r.logger)
	})
	return cmd
}

// nodeWork is what a command does with the named node.
type nodeWork func(cmd *cobra.Command, c *clusterFlags, r localRun, name string) error

// nodeCommand is a command that works on one node.
func nodeCommand(use, short string) (cmd *cobra.Command, run func(nodeWork) func(*cobra.Command, []string) error) {
	c := new(clusterFlags)
	var output string
	cmd = &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1)}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json: one object per line, for programs")
	c.registerToFind(cmd.Flags())
	return cmd, func(work nodeWork) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			r, err := c.begin(cmd, output)
			if err != nil {
				return err
			}
			if err := work(cmd, c, r, args[0]); err != nil {
				return fmt.Errorf("node %s: %w", args[0], err)
			}
			return nil
		}
	}
}
