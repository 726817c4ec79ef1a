package cli

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/app/reload"
	"github.com/knarr-io/knarr/internal/app/sockets"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/edge"
)

// inMemory reads the --store flag.
func inMemory(kind string) (bool, error) {
	switch kind {
	case "disk":
		return false, nil
	case "memory":
		return true, nil
	}
	return false, fmt.Errorf("--store %q: want disk or memory", kind)
}

// edgeFlags are what `knarr up` tells the edge.
type edgeFlags struct {
	kubeconfig, stateDir, domain, address, dns, level string
	show                                              bool
}

func newEdge() *cobra.Command {
	var f edgeFlags
	cmd := &cobra.Command{
		Use:    "edge",
		Short:  "Answer cluster DNS and serve Ingress (what `knarr up` supervises)",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE:   func(cmd *cobra.Command, _ []string) error { return runEdge(cmd, f) },
	}
	cmd.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "how to reach the API")
	cmd.Flags().StringVar(&f.stateDir, "state-dir", "", "where the last known names are kept")
	cmd.Flags().StringVar(&f.domain, "cluster-domain", "cluster.local", "domain of the cluster's names")
	cmd.Flags().StringVar(&f.address, "node-address", "", "this node's address (default: this machine's, also when it becomes another one)")
	cmd.Flags().BoolVar(&f.show, "show-address", false, "write the node's address into the status of Ingresses")
	cmd.Flags().StringVar(&f.dns, "cluster-dns", "", "address of the cluster DNS, which is never forwarded to")
	cmd.Flags().StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func runEdge(cmd *cobra.Command, f edgeFlags) error {
	logger, err := newLogger(os.Stderr, f.level)
	if err != nil {
		return err
	}
	config, err := reload.Config(f.kubeconfig, logger)
	if err != nil {
		return err
	}
	kinds := catalog.New()
	transport, err := client.NewHTTPS(config, kinds)
	if err != nil {
		return err
	}
	own, err := netip.ParseAddr(f.dns)
	if err != nil {
		return fmt.Errorf("--cluster-dns: %w", err)
	}
	address, err := f.nodeAddress()
	if err != nil {
		return err
	}
	inherited, err := sockets.Inherited()
	if err != nil {
		return err
	}
	return edge.Run(cmd.Context(), edge.Config{
		Client: client.New(transport, kinds), Domain: f.domain, Address: address, ShowAddress: f.show, StateDir: f.stateDir, Logger: logger,
		ResolvConf: []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}, Own: []netip.Addr{own},
		Sockets: edge.Sockets{
			DNSPacket: inherited.Packets[local.SocketDNS], DNSStream: inherited.Streams[local.SocketDNST],
			HTTP: inherited.Streams[local.SocketHTTP], HTTPS: inherited.Streams[local.SocketHTTPS],
		},
	})
}

// nodeAddress tells the edge its node's address.
func (f edgeFlags) nodeAddress() (edge.Address, error) {
	if f.address == "" {
		return func(ctx context.Context, changed func(netip.Addr)) error {
			return machine.Follow(ctx, machine.NodeAddress, changed)
		}, nil
	}
	addr, err := netip.ParseAddr(f.address)
	if err != nil {
		return nil, fmt.Errorf("--node-address: %w", err)
	}
	return func(ctx context.Context, changed func(netip.Addr)) error {
		changed(addr)
		<-ctx.Done()
		return nil
	}, nil
}
