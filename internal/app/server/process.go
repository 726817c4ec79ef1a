package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/aggregation"
	"github.com/knarr-io/knarr/internal/apiserver/discovery"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/apiserver/resourcemetrics"
	"github.com/knarr-io/knarr/internal/apiserver/stream"
	"github.com/knarr-io/knarr/internal/app/nodehost"
	"github.com/knarr-io/knarr/internal/base/footprint"
	"github.com/knarr-io/knarr/internal/base/lifecycle"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/autoscaler"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
	"github.com/knarr-io/knarr/internal/store/encryption"
)

// process holds what the parts make for each other.
type process struct {
	Options
	kinds    *catalog.Catalog
	registry *prometheus.Registry
	listener net.Listener

	authority  *pki.Authority
	certs      certificates
	store      store.Store
	keys       *encryption.Keys // nil: objects are stored as they are
	cache      *cache.Cache
	api        *apiserver.Server
	documents  *openapi.Documents
	discovery  *discovery.Handler
	aggregator *aggregation.Aggregator
	streams    *stream.Streams
	metrics    *resourcemetrics.Server // nil where no nodes are served
	host       *nodehost.Host
	informers  *client.Informers // of controllers, scheduler and simulated nodes
}

// settleTime is how long after the start the process is at rest.
const settleTime = 3 * time.Second

// quietTime is for how long the heap is not collected after a burst of work.
const quietTime = 2 * time.Second

// Run runs the server until ctx ends or a part fails.
func Run(ctx context.Context, o Options) error {
	listener, err := apiListener(o.Settings)
	if err != nil {
		return err
	}
	p := &process{Options: o, kinds: catalog.New(), registry: prometheus.NewRegistry(), listener: listener}
	parts := []lifecycle.Part{
		{Name: "certificates", Run: p.runCertificates},
		{Name: "store", Run: p.runStore},
		{Name: "api", Needs: []string{"certificates", "store"}, Run: p.runAPI},
	}
	if !o.APIOnly {
		parts = append(parts,
			lifecycle.Part{Name: "control", Needs: []string{"api"}, Run: p.runControl},
			lifecycle.Part{Name: "addons", Needs: []string{"api"}, Run: p.runAddons},
			lifecycle.Part{Name: "proxy", Needs: []string{"api"}, Run: p.runProxy},
			lifecycle.Part{Name: "node", Needs: []string{"api", "proxy"}, Run: p.runNode},
			lifecycle.Part{Name: "address", Run: p.runAddress},
			lifecycle.Part{Name: "simulated nodes", Needs: []string{"control"}, Run: p.runSimulated},
		)
	}
	group, err := lifecycle.New(o.Logger, parts...)
	if err != nil {
		return err
	}
	start := time.Now()
	go func() {
		select {
		case <-group.Ready():
			o.Logger.Info("everything is started", "milliseconds", time.Since(start).Milliseconds(), "parts", timings(group))
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(settleTime):
		case <-ctx.Done():
			return
		}
		if err := footprint.Release(); err != nil {
			o.Logger.Warn("memory of the start-up was not given back", "error", err)
		}
		footprint.FollowBursts(ctx, quietTime, p.cache.Rest)
	}()
	return group.Run(ctx)
}

func timings(g *lifecycle.Group) string {
	text := ""
	for _, s := range g.Status() {
		text += fmt.Sprintf("%s %d ms; ", s.Name, s.Took.Milliseconds())
	}
	return text
}

// runStore opens the store and decodes its objects.
func (p *process) runStore(ctx context.Context, ready func()) error {
	failed := make(chan error, 2) // by the store, and by the cache above it
	options := disk.Options{MaxValue: limits.Object, Dir: filepath.Join(p.DataDir, "store"), InMemory: p.Memory, Logger: p.Logger,
		OnFailure: func(err error) { failed <- err }}
	st, err := disk.Open(ctx, options)
	if err != nil {
		return fmt.Errorf("open the store in %s: %w", options.Dir, err)
	}
	defer func() { p.closed("store", st.Close()) }()
	seals, err := p.openKeys(ctx)
	if err != nil {
		return err
	}
	defer p.closeKeys()
	c, err := cache.Open(ctx, st, p.kinds.Kinds(), cache.Options{Logger: p.Logger, Seals: seals,
		Observe: p.storeMetrics(options.Dir).observe, OnFailure: options.OnFailure})
	if err != nil {
		return fmt.Errorf("load the objects: %w", err)
	}
	defer c.Close()
	p.store, p.cache = st, c
	ready()
	wait := p.followKeys(ctx)
	defer wait()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return fmt.Errorf("the store failed and is opened anew: %w", err) // keep restarts the process
	}
}

func (p *process) closed(what string, err error) {
	if err != nil {
		p.Logger.Error("could not be closed in good order", "what", what, "error", err)
	}
}

// certificates are those that this process holds.
type certificates struct {
	api, kubeletClient, nodeServing, nodeClient, frontProxy *pki.Certificate
}

// runCertificates opens the cluster's keys and keeps certificates fresh.
func (p *process) runCertificates(ctx context.Context, ready func()) error {
	m := pki.Machine{NodeName: p.NodeName, Addresses: p.addresses(), ServiceAddress: firstOf(p.Services), ClusterDomain: p.Domain}
	orders := []pki.Order{m.APIServer(), pki.KubeletClient(), m.KubeletServing(), m.NodeClient(), pki.FrontProxyClient()}
	a, err := pki.Open(pki.Options{Dir: p.PKI(), LeafLife: p.CertificateLife, Orders: orders, Logger: p.Logger})
	if err != nil {
		return err
	}
	certs, err := a.Certificates(orders...)
	if err != nil {
		return err
	}
	p.authority = a
	p.certs = certificates{api: certs[0], kubeletClient: certs[1], nodeServing: certs[2], nodeClient: certs[3], frontProxy: certs[4]}
	if _, err := p.WriteCredentials(a); err != nil { // what waits for the API reads them
		return err
	}
	ready()
	var keeping sync.WaitGroup
	keeping.Go(func() { p.KeepCredentials(ctx, a, p.logOf("certificates")) })
	defer keeping.Wait()
	return a.Run(ctx)
}

// addresses are what this machine is reached by; the second one by the nodes
// that live in namespaces on it.
func (p *process) addresses() []netip.Addr {
	out := []netip.Addr{p.NodeAddress}
	if p.NodeNetwork.IsValid() {
		out = append(out, firstOf(p.NodeNetwork))
	}
	return out
}

// firstOf is the first usable address of a network.
func firstOf(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// as is a client in this process under an identity; what it writes belongs to
// the field manager, which bears upstream's name.
func (p *process) as(manager, name string, groups ...string) *client.Client {
	return client.New(p.api.Transport(identity(name, groups...)), p.kinds).WithManager(manager)
}

func identity(name string, groups ...string) user.Info {
	return &user.DefaultInfo{Name: name, Groups: append(groups, user.AllAuthenticated)}
}

// controllerManager is the field manager of every controller.
const controllerManager = "kube-controller-manager"

// asController acts as a controller's service account.
func (p *process) asController(name string) *client.Client {
	return p.as(controllerManager, controllerAccount+name, controllerGroups()...)
}

// readsAs reads paths of the API as a controller's service account.
func (p *process) readsAs(name string) autoscaler.Get {
	return p.api.Get(identity(controllerAccount+name, controllerGroups()...))
}

// controllerAccount and a controller's name are the user that it acts as.
const controllerAccount = "system:serviceaccount:kube-system:"

func controllerGroups() []string {
	return []string{"system:serviceaccounts", "system:serviceaccounts:kube-system"}
}

// asNode acts as this machine's node.
func (p *process) asNode() *client.Client {
	return p.as("kubelet", "system:node:"+p.NodeName, "system:nodes")
}

// serving is the API's TLS configuration: client certificates are asked for
// and judged by the authenticator.
func (p *process) serving() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: p.certs.api.ForServerWithCA, ClientAuth: tls.RequestClientCert,
	}
}

// logOf names the part in its log lines.
func (p *process) logOf(part string) *slog.Logger { return p.Logger.With("part", part) }
