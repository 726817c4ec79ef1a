package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/knarr-io/knarr/internal/app/local"
)

func newEncryption() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "encryption",
		Short: "See how stored objects are encrypted, and change the key",
	}
	holdOnly(cmd)
	cmd.AddCommand(newEncryptionStatus(), newEncryptionRotate())
	return cmd
}

func newEncryptionStatus() *cobra.Command {
	var c clusterFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell whether every stored object is written as the configuration says",
		Args:  cobra.NoArgs,
	}
	c.registerToFind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := c.recall(cmd)
		if err != nil {
			return err
		}
		status, err := local.EncryptionStatus(cmd.Context(), s)
		if err != nil {
			return err
		}
		fmt.Printf("configuration: %s\nall objects are written as it says: %t (%d were written again)\n", status.File, status.Current, status.Rewritten)
		if status.Error != "" {
			return fmt.Errorf("the newest configuration is not in use: %s", status.Error)
		}
		return nil
	}
	return cmd
}

func newEncryptionRotate() *cobra.Command {
	var c clusterFlags
	var keep bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key and write every encrypted object again with it, while the cluster runs",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&keep, "keep-old-keys", false, "leave the former keys in the file, for backups that were made with them")
	c.registerToFind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := c.recall(cmd)
		if err != nil {
			return err
		}
		name, rewritten, err := local.RotateKey(cmd.Context(), s, !keep)
		if err != nil {
			return err
		}
		fmt.Printf("done: %d objects were written again with %s\n", rewritten, name)
		return nil
	}
	return cmd
}

// recall reads the settings, completed by what the cluster was brought up with.
func (c *clusterFlags) recall(cmd *cobra.Command) (local.Settings, error) {
	if err := c.read(cmd); err != nil {
		return c.Settings, err
	}
	return local.Recall(c.Settings)
}
