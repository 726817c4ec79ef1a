package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/scheduler"
)

func newExplain() *cobra.Command {
	cmd := &cobra.Command{Use: "explain", Short: "Tell why something does not happen"}
	holdOnly(cmd)
	cmd.AddCommand(explainPod(), explainConnection())
	return cmd
}

func explainPod() *cobra.Command {
	var c clusterFlags
	var namespace string
	cmd := &cobra.Command{
		Use:   "pod NAME",
		Short: "Tell what keeps a pod from each node, and the smallest change that would help",
		Args:  cobra.ExactArgs(1),
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", corev1.NamespaceDefault, "namespace of the pod")
	c.registerToFind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := c.recall(cmd)
		if err != nil {
			return err
		}
		pod, verdicts, err := local.ExplainPod(cmd.Context(), s, namespace, args[0])
		if err != nil {
			return err
		}
		printVerdicts(cmd.OutOrStdout(), pod, verdicts)
		return nil
	}
	return cmd
}

// printVerdicts writes one paragraph per node, the nearest to fitting first.
func printVerdicts(w io.Writer, pod *corev1.Pod, verdicts []scheduler.Verdict) {
	if pod.Spec.NodeName != "" {
		fmt.Fprintf(w, "pod %s/%s has its node: %s. As things stand:\n", pod.Namespace, pod.Name, pod.Spec.NodeName)
	}
	for _, g := range pod.Spec.SchedulingGates {
		fmt.Fprintf(w, "the gate %q holds the pod back, whatever nodes say\n", g.Name)
	}
	if len(verdicts) == 0 {
		fmt.Fprintln(w, "there are no nodes")
	}
	for _, v := range verdicts {
		if len(v.Blocks) == 0 {
			fmt.Fprintf(w, "%s: would take it\n", v.Node)
			continue
		}
		fmt.Fprintf(w, "%s:\n", v.Node)
		for _, b := range v.Blocks {
			fmt.Fprintf(w, "  %s: %s\n", b.Plugin, strings.Join(b.Reasons, ", "))
			if b.Help != "" {
				fmt.Fprintf(w, "    what would help: %s\n", b.Help)
			}
		}
	}
}
