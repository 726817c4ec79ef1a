package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/knarr-io/knarr/internal/app/payload"
)

func newHelm() *cobra.Command {
	return &cobra.Command{
		Use:                "helm",
		Short:              "Run Helm against the cluster",
		DisableFlagParsing: true,
		RunE:               func(_ *cobra.Command, args []string) error { return runHelm(args) },
	}
}

// runHelm becomes Helm's own program, set to the context that `knarr up` wrote
// unless the arguments or Helm's variables choose another cluster. It returns
// only where that fails. The program is unpacked once, into the caller's cache:
// linked into knarr it would slow the start of everything else.
func runHelm(args []string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find a folder for Helm's program (set XDG_CACHE_HOME to one that you may write): %w", err)
	}
	program, err := payload.Helm(filepath.Join(cache, "knarr"))
	if err != nil {
		return err
	}
	env := os.Environ()
	if !helmChoosesCluster(args, os.Getenv) {
		env = append(env, "HELM_KUBECONTEXT="+ownContext)
	}
	if err := syscall.Exec(program, append([]string{program}, args...), env); err != nil {
		return fmt.Errorf("run Helm's program %s: %w", program, err)
	}
	return nil
}

// helmChoosesCluster tells whether the arguments before a "--", or a variable
// that Helm reads, name a cluster, or the arguments complete a command line.
func helmChoosesCluster(args []string, env func(string) string) bool {
	if len(args) > 0 && slices.Contains([]string{"completion", "__complete", "__completeNoDesc"}, args[0]) {
		return true
	}
	if env("HELM_KUBECONTEXT") != "" || env("HELM_KUBEAPISERVER") != "" {
		return true
	}
	for _, a := range args {
		if a == "--" {
			return false
		}
		name, _, _ := strings.Cut(a, "=")
		if slices.Contains([]string{"--kube-context", "--kubeconfig", "--kube-apiserver"}, name) {
			return true
		}
	}
	return false
}
