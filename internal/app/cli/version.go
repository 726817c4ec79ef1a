package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/knarr-io/knarr/internal/app/version"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of Knarr and of the API that it speaks", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			v := version.Get()
			fmt.Fprintf(cmd.OutOrStdout(), "knarr %s (%s, %s)\nKubernetes API %s\n", v.Knarr, v.GitCommit, v.Platform, v.Kubernetes)
		},
	}
}
