package cli

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// ownContext is the context of the kubeconfig that `knarr up` writes.
const ownContext = "knarr"

func newKubectl() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl",
		Short:              "Run kubectl against the cluster",
		SuggestFor:         []string{"apply", "attach", "create", "delete", "describe", "edit", "exec", "get", "logs", "port-forward", "rollout", "run", "scale", "top"},
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runKubectl(cmd, args)
		},
	}
}

// runKubectl is kubectl itself, set to the context that `knarr up` wrote
// unless the arguments choose another cluster.
func runKubectl(cmd *cobra.Command, args []string) error {
	// Not all of kubectl looks at its context: signals end it, as they do upstream's.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	k := kubectl.NewDefaultKubectlCommandWithArgs(kubectl.KubectlOptions{
		PluginHandler: kubectl.NewDefaultPluginHandler([]string{"kubectl"}),
		Arguments:     append([]string{"kubectl"}, args...), ConfigFlags: flags, IOStreams: streams,
	})
	if !choosesCluster(args) {
		args = append([]string{"--context=" + ownContext}, args...)
		util.BehaviorOnFatal(func(message string, code int) { hint(message, code, flags) })
	}
	k.SetArgs(args)
	if err := k.ExecuteContext(cmd.Context()); err != nil {
		util.CheckErr(err) // prints as kubectl does and ends with its exit code
	}
	return nil
}

// choosesCluster tells whether the arguments before a "--" name a cluster, or
// are a command that works on the kubeconfig itself.
func choosesCluster(args []string) bool {
	if len(args) > 0 && slices.Contains([]string{"config", "completion", "__complete", "__completeNoDesc"}, args[0]) {
		return true
	}
	for _, a := range args {
		if a == "--" {
			return false
		}
		name, _, _ := strings.Cut(a, "=")
		if slices.Contains([]string{"--context", "--kubeconfig", "--server", "-s", "--cluster"}, name) {
			return true
		}
	}
	return false
}

// hint ends kubectl as it does by itself, and says what to do where no cluster
// was ever brought up.
func hint(message string, code int, flags *genericclioptions.ConfigFlags) {
	fmt.Fprintln(os.Stderr, strings.TrimSuffix(message, "\n"))
	if known, err := flags.ToRawKubeConfigLoader().RawConfig(); err == nil && known.Contexts[ownContext] == nil {
		fmt.Fprintln(os.Stderr, "`sudo knarr up` brings a cluster up; --context NAME asks another one.")
	}
	os.Exit(code)
}
