package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/base/pki"
)

func newCert() *cobra.Command {
	var c clusterFlags
	var format string
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Show the certificates and when they are renewed",
		Long: `Show the certificates of the cluster's server, or of the node of a machine that
joined: what they are for, when they end, and when they are replaced. That
happens by itself when two thirds of a certificate's life are over, without a
restart. The authorities live ten years and are not replaced.`,
		Args: cobra.NoArgs,
	}
	c.registerToFind(cmd.Flags())
	cmd.Flags().StringVarP(&format, "output", "o", "", "json, or empty for a table")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := c.recall(cmd)
		if err != nil {
			return err
		}
		all, err := local.Certificates(s)
		if err != nil {
			return err
		}
		switch format {
		case "":
			return printCertificates(cmd.OutOrStdout(), all, time.Now())
		case "json":
			return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
		}
		return fmt.Errorf("-o %q: want json", format)
	}
	return cmd
}

func printCertificates(out io.Writer, all []pki.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tSUBJECT\tEXPIRES\tRENEWED")
	for _, c := range all {
		renews := "never"
		if !c.Renews.IsZero() {
			renews = "in " + about(c.Renews.Sub(now))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Name, c.Subject, c.Expires.Format(time.DateTime), renews)
	}
	return w.Flush()
}

// about is a time to come in the words that its length asks for.
func about(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d <= 0:
		return "a moment"
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 2*day:
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", d/day)
}
