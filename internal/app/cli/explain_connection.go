package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

func explainConnection() *cobra.Command {
	var c clusterFlags
	var namespace string
	cmd := &cobra.Command{
		Use:   "connection POD DESTINATION:PORT[/PROTOCOL]",
		Short: "Tell which network policies allow or deny a pod's connection",
		Long: `Tell which network policies allow or deny a pod's connection.

The destination is an address, or the name of a Service or a pod; one of another
namespace is written NAME.NAMESPACE. A Service is followed to its endpoints.`,
		Example: "  knarr explain connection web database:5432\n  knarr explain connection web kube-dns.kube-system:53/udp",
		Args:    cobra.ExactArgs(2),
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", corev1.NamespaceDefault, "namespace of the pod")
	c.registerToFind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := c.recall(cmd)
		if err != nil {
			return err
		}
		connection, err := local.ExplainConnection(cmd.Context(), s, namespace, args[0], args[1])
		if err != nil {
			return err
		}
		printConnection(cmd.OutOrStdout(), connection)
		return nil
	}
	return cmd
}

// printConnection writes a paragraph per end: what each side says, and what
// comes of it.
func printConnection(w io.Writer, c *local.Connection) {
	if c.Through != (rules.Key{}) {
		fmt.Fprintf(w, "through Service %s:\n", c.Through)
	}
	for i := range c.Ends {
		end := &c.Ends[i]
		who := end.Who
		if who == "" {
			who = "outside of the cluster"
		}
		result := "denied"
		if end.Allowed() {
			result = "allowed"
		}
		fmt.Fprintf(w, "pod %s (%s) to %s/%s (%s): %s\n", c.Pod, c.Address, end.Address, end.Protocol, who, result)
		for _, d := range []rules.Direction{rules.Egress, rules.Ingress} {
			if v := &end.Verdicts[d]; v.Pod != (rules.Key{}) {
				fmt.Fprintf(w, "  %s of %s: %s\n", d, v.Pod, reason(v))
			}
		}
	}
}

func reason(v *rules.Verdict) string {
	switch {
	case v.By != (rules.Key{}):
		return fmt.Sprintf("allowed by policy %s, rule %d", v.By, v.Rule)
	case len(v.Policies) == 0:
		return "allowed: no policy selects the pod"
	case v.Allowed:
		return "allowed: what a pod sends to itself nobody restricts"
	}
	names := make([]string, len(v.Policies))
	for i, k := range v.Policies {
		names[i] = k.String()
	}
	return "denied: it is selected by " + strings.Join(names, ", ") + ", none of which has a rule that allows this"
}
