package cli

import (
	"cmp"
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/app/server"
	"github.com/knarr-io/knarr/internal/network/peers"
)

func newServer() *cobra.Command {
	var c clusterFlags
	var o server.Options
	var storeKind string
	var untilEOF bool
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the server in the foreground (what `knarr up` supervises)",
		Long: `Run the API, the controllers, the scheduler and this machine's node agent in the
foreground. "knarr up" does this under supervision, with the container runtime
and the edge beside it. With --api-only it is the API alone.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&o.APIOnly, "api-only", false, "serve the API alone: no controllers, scheduler or node")
	cmd.Flags().StringVar(&storeKind, "store", "disk", "disk, or memory to keep nothing")
	cmd.Flags().BoolVar(&untilEOF, "until-eof", false, "end when standard input ends, as it does with the process that holds its other end")
	c.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := c.read(cmd); err != nil {
			return err
		}
		if err := completeServer(&c, &o, storeKind); err != nil {
			return err
		}
		o.Flags = shownFlags(cmd.Flags())
		klog.SetSlogLogger(o.Logger.With("part", "libraries"))
		ctx := cmd.Context()
		if untilEOF {
			ctx = endingWith(ctx, cmd.InOrStdin())
		}
		return server.Run(ctx, o)
	}
	return cmd
}

// shownFlags are the settings and their values, for /flagz.
func shownFlags(flags *pflag.FlagSet) map[string]string {
	out := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) { out[f.Name] = f.Value.String() })
	return out
}

// endingWith is a context that ends when there is no more to read.
func endingWith(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}

// completeServer finds out what the flags left open.
func completeServer(c *clusterFlags, o *server.Options, storeKind string) (err error) {
	if o.Memory, err = inMemory(storeKind); err != nil {
		return err
	}
	if c.NodeName == "" {
		if c.NodeName, err = machine.NodeName(); err != nil {
			return err
		}
	}
	if !c.NodeAddress.IsValid() {
		if c.NodeAddress, err = c.FindAddress(); err != nil {
			return err
		}
	}
	c.Overlay = cmp.Or(c.Overlay, string(peers.Auto))
	o.Settings = c.Settings
	o.Logger, err = newLogger(os.Stderr, c.LogLevel)
	return err
}
