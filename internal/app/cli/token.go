package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/knarr-io/knarr/internal/app/local"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Let other machines join the cluster",
		Long: `Make, list and take back the tokens by which other machines become nodes of this
cluster. A token holds a secret and the fingerprint of the cluster's authority:
who has it can add a node until it expires.`,
	}
	cmd.AddCommand(tokenCreate(), tokenList(), tokenRemove())
	holdOnly(cmd)
	return cmd
}

// maxTokenLife bounds --ttl.
const maxTokenLife = 365 * 24 * time.Hour

func tokenCreate() *cobra.Command {
	var ttl time.Duration
	var description string
	var quiet bool
	cmd, run := tokenCommand("create", "Make a token and print the command that joins with it", cobra.NoArgs)
	cmd.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is good")
	cmd.Flags().StringVar(&description, "description", "", "what the token is for")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the token alone")
	cmd.RunE = run(func(ctx context.Context, s local.Settings, _ []string) error {
		if ttl < time.Minute || ttl > maxTokenLife {
			return fmt.Errorf("--ttl %s: want a minute to a year", ttl)
		}
		made, err := local.CreateToken(ctx, s, ttl, description)
		if err != nil {
			return err
		}
		if quiet {
			_, err = fmt.Fprintln(os.Stdout, made.Token)
			return err
		}
		_, err = fmt.Fprintf(os.Stdout, "On the other machine, as root:\n\n  knarr up --server %s --token %s\n\nThe token is good until %s; `knarr token rm %s` takes it back.\n",
			made.Server, made.Token, made.Expires.Format("2006-01-02 15:04 MST"), made.Token.ID)
		return err
	})
	return cmd
}

func tokenList() *cobra.Command {
	cmd, run := tokenCommand("ls", "List the tokens, without their secrets", cobra.NoArgs)
	cmd.Aliases = []string{"list"}
	cmd.RunE = run(func(ctx context.Context, s local.Settings, _ []string) error {
		tokens, err := local.Tokens(ctx, s)
		if err != nil {
			return err
		}
		return printTokens(os.Stdout, tokens, time.Now())
	})
	return cmd
}

func printTokens(out io.Writer, tokens []local.TokenInfo, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "ID\tEXPIRES\tDESCRIPTION")
	for _, t := range tokens {
		left := "never"
		if !t.Expires.IsZero() {
			left = "in " + t.Expires.Sub(now).Round(time.Minute).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", t.ID, left, t.Description)
	}
	return w.Flush()
}

func tokenRemove() *cobra.Command {
	cmd, run := tokenCommand("rm ID", "Take a token back; nodes that joined by it stay", cobra.ExactArgs(1))
	cmd.Aliases = []string{"remove"}
	cmd.RunE = run(func(ctx context.Context, s local.Settings, args []string) error {
		return local.RemoveToken(ctx, s, args[0])
	})
	return cmd
}

// tokenCommand is a command that works on the cluster's tokens.
func tokenCommand(use, short string, args cobra.PositionalArgs) (cmd *cobra.Command, run func(func(context.Context, local.Settings, []string) error) func(*cobra.Command, []string) error) {
	c := new(clusterFlags)
	cmd = &cobra.Command{Use: use, Short: short, Args: args}
	c.registerToFind(cmd.Flags())
	return cmd, func(work func(context.Context, local.Settings, []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			s, err := c.recall(cmd)
			if err != nil {
				return err
			}
			return work(cmd.Context(), s, args)
		}
	}
}
