package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/knarr-io/knarr/internal/base/footprint"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/edge/dns"
	"github.com/knarr-io/knarr/internal/edge/ingress"
	"github.com/knarr-io/knarr/internal/edge/measure"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// Sockets are where the edge listens.
type Sockets struct {
	DNSPacket []net.PacketConn
	DNSStream []net.Listener
	HTTP      []net.Listener
	HTTPS     []net.Listener
}

// Config says what an edge works with.
type Config struct {
	Client *client.Client
	// Domain is the cluster's, such as cluster.local.
	Domain string
	// Address is the node's. ShowAddress: it is that of Ingresses; one edge of a
	// cluster writes it there.
	Address     Address
	ShowAddress bool
	// ResolvConf are files that name resolvers for other names; the first
	// with a usable one counts. Own are addresses that must not be asked.
	ResolvConf []string
	Own        []netip.Addr
	// StateDir holds the saved copy of the cluster's names.
	StateDir string
	Sockets  Sockets
	Logger   *slog.Logger
}

// Address calls changed with the node's address, and again with each other one
// that it becomes, until ctx ends.
type Address func(ctx context.Context, changed func(netip.Addr)) error

// Run serves until ctx ends or a socket fails.
func Run(ctx context.Context, cfg Config) error {
	m := mirror.New(filepath.Join(cfg.StateDir, "names.json"), cfg.Logger)
	zone := dns.NewZone(cfg.Domain)
	dns.Follow(zone, m)
	resolvers := dns.Resolvers(cfg.ResolvConf, cfg.Own)
	forwarder := dns.NewForwarder(resolvers)
	moved := dns.FollowSettings(forwarder, m, cfg.Own, cfg.Logger)
	metrics := measure.New()
	names := dns.NewServer(dns.NewResolver(zone, forwarder), metrics)
	requests, err := ingress.NewServer(m, ingress.AskCluster(cfg.Client), metrics, cfg.Logger)
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	status := ingress.NewStatus(m, cfg.Client, cfg.Logger)

	m.Load()
	inf := client.NewInformers(cfg.Client, cfg.Logger)
	settle := m.Follow(inf)

	group, ctx := errgroup.WithContext(ctx)
	settled := make(chan struct{})
	group.Go(func() error {
		caughtUp(ctx, settled)
		return names.Run(ctx, cfg.Sockets.DNSPacket, cfg.Sockets.DNSStream)
	})
	group.Go(func() error {
		caughtUp(ctx, settled)
		return requests.Run(ctx, cfg.Sockets.HTTP, cfg.Sockets.HTTPS)
	})
	if cfg.ShowAddress {
		group.Go(func() error { return status.Run(ctx) })
	}
	group.Go(func() error {
		return cfg.Address(ctx, func(now netip.Addr) {
			requests.Moved()
			status.Show(now)
		})
	})
	group.Go(func() error { return m.Keep(ctx) })
	group.Go(func() error {
		err := dns.FollowResolvers(ctx, cfg.ResolvConf, cfg.Own, resolvers, func(now []string) {
			cfg.Logger.Info("the machine has other resolvers now", "resolvers", now)
			moved(now)
		})
		if err != nil { // the present ones do until it starts anew
			cfg.Logger.Warn("resolvers of another network would not be noticed", "error", err)
		}
		return nil
	})
	group.Go(func() error {
		// Names and requests do not depend on it.
		if err := serveControl(ctx, filepath.Join(cfg.StateDir, ControlSocket), m, metrics); err != nil {
			cfg.Logger.Error("the node's agent cannot ask the edge", "error", err)
		}
		return nil
	})
	group.Go(func() error {
		inf.Start(ctx)
		defer inf.Wait()
		if err := settle(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("edge: %w", err)
		}
		close(settled)
		cfg.Logger.Info("the edge serves", "resolvers", resolvers)
		if err := footprint.Release(); err != nil {
			cfg.Logger.Warn("memory of the start-up was not given back", "error", err)
		}
		footprint.FollowBursts(ctx, quietTime, func() {})
		return nil
	})
	return group.Wait()
}

// quietTime is for how long the heap is not collected after a burst of requests.
const quietTime = 2 * time.Second

// catchUp bounds how long questions wait in their sockets for an edge that
// learns what has changed since the copy was saved.
const catchUp = 500 * time.Millisecond

// caughtUp waits until the cluster's present state is known. Where the server
// does not answer in time, the last known one is better than silence.
func caughtUp(ctx context.Context, settled <-chan struct{}) {
	timer := time.NewTimer(catchUp)
	defer timer.Stop()
	select {
	case <-settled:
	case <-timer.C:
	case <-ctx.Done():
	}
}
