// Package nodehost is the part of a process that makes its machine a node:
// the routes to other nodes' pods, the Service rules and the node agent. The
// server's process and the agent's both run it; they differ in how their
// clients reach the API.
//
// The parts are made for package lifecycle: each is ready when what it keeps
// stands, and ends with its context. The package owns no state beyond that of
// its parts.
package nodehost

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/app/version"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/peers"
	"github.com/knarr-io/knarr/internal/network/podnet"
	"github.com/knarr-io/knarr/internal/network/policy"
	"github.com/knarr-io/knarr/internal/network/policy/kernel"
	"github.com/knarr-io/knarr/internal/network/proxy"
	"github.com/knarr-io/knarr/internal/network/ruleset"
	"github.com/knarr-io/knarr/internal/node"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
)

// Config says who the node is and how it reaches the API.
type Config struct {
	local.Settings
	// Node acts as system:node:<name>, Proxy as system:kube-proxy.
	Node, Proxy *client.Client
	// Certificate serves the kubelet API, whose callers Callers signed.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Callers     *x509.CertPool
	// Peers reaches the agents of other nodes as this node.
	Peers  http.RoundTripper
	Logger *slog.Logger
}

// Host is the node of a process. RunNetwork runs before RunAgent; each once.
type Host struct {
	cfg   Config
	proxy *proxy.Proxy
	peers *peers.Follower
	// policies is set by RunNetwork.
	policies *policy.Agent
	edge     *edgeClient
	// silence is how long another node may take to show that it lives.
	silence time.Duration
}

// New makes a host; nothing runs yet.
func New(cfg Config) *Host {
	return &Host{cfg: cfg, edge: newEdgeClient(cfg.EdgeSocket()), silence: settleTime}
}

func (h *Host) logOf(part string) *slog.Logger { return h.cfg.Logger.With("part", part) }

// RunNetwork prepares the node's network and keeps routes, Services and network
// policies. It is ready when the rules of all of them stand.
func (h *Host) RunNetwork(ctx context.Context, ready func()) error {
	log := h.logOf("proxy")
	network := h.cfg.Network(log)
	held, err := podnet.Hold(network)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := podnet.Setup(network); err != nil {
		return err
	}
	rules := ruleset.Config{Pods: h.cfg.Pods}
	if len(network.Forwarded) > 0 {
		rules.Behind = network.Forwarded[0]
	}
	table, err := ruleset.Open(rules)
	if err != nil {
		return err
	}
	defer func() {
		if err := table.Close(); err != nil {
			log.Error("nftables could not be closed in good order", "error", err)
		}
	}()
	judge, err := kernel.Open(kernel.Config{Pods: h.cfg.Pods, PodLinks: podLinks, OtherLinks: otherLinks, EdgeUser: local.EdgeUser})
	if err != nil {
		return err
	}
	defer func() {
		if err := judge.Close(); err != nil {
			log.Error("nftables could not be closed in good order", "error", err)
		}
	}()
	informers := client.NewInformers(h.cfg.Proxy, log)
	pods := client.NewInformers(h.cfg.Node, log)
	h.proxy = proxy.New(proxy.Config{Node: h.cfg.NodeName, Informers: informers, Pods: pods, Table: table, Forget: proxy.ForgetUDP, Logger: log})
	h.peers = peers.New(peers.Config{Node: h.cfg.NodeName, Address: h.cfg.NodeAddress, Behind: h.cfg.Behind, Mode: peers.Mode(h.cfg.Overlay),
		Informers: informers, Logger: h.logOf("routes")})
	h.policies = policy.New(policy.Config{Node: h.cfg.NodeName, DNS: h.cfg.DNS, Client: h.cfg.Proxy, Informers: informers, Local: pods,
		Kernel: judge, Logger: h.logOf("policy")})
	ctx, cancel := context.WithCancel(ctx)
	defer informers.Wait()
	defer pods.Wait()
	defer cancel()
	informers.Start(ctx)
	pods.Start(ctx)
	return h.runParts(ctx, ready)
}

// runParts runs what follows the API until the first of it ends.
func (h *Host) runParts(ctx context.Context, ready func()) error {
	parts, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{h.proxy.Run, h.peers.Run, h.policies.Run, h.guard} {
		parts.Go(func() error {
			if err := run(ctx); err != nil {
				return err
			}
			return errEnded
		})
	}
	if h.proxy.WaitSynced(ctx) == nil && h.policies.WaitSynced(ctx) == nil {
		ready()
	}
	if err := parts.Wait(); !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// guard keeps pods let through other owners' firewalls. Whoever cannot be
// told when one is loaded anew works on with what stood at the start. Where all
// of our rules were removed the process starts anew, and makes them again.
func (h *Host) guard(ctx context.Context) error {
	log := h.logOf("firewall")
	err := podnet.Guard(ctx, h.cfg.Network(log))
	if errors.Is(err, podnet.ErrFlushed) {
		return fmt.Errorf("%w (nft flush ruleset?): they are made anew", err)
	}
	if err != nil {
		log.Warn("reloads of other firewalls will not be noticed", "error", err)
	}
	<-ctx.Done()
	return nil
}

// errEnded ends the other parts when one ended in good order.
var errEnded = errors.New("ended")

// Links of pods begin so, and so do those to other nodes, whose names go on as
// no pod's does: with what is no hexadecimal digit.
const podLinks = "kn"

var otherLinks = []string{"kno", "knt"}

// admit returns when the network policies of a pod are enforced for the
// address that its sandbox has.
func (h *Host) admit(ctx context.Context, pod *corev1.Pod, addresses []string) error {
	for _, text := range addresses {
		address, err := netip.ParseAddr(text)
		if err != nil || !address.Is4() {
			continue
		}
		return h.policies.Admit(ctx, pod, address)
	}
	return errors.New("the pod's sandbox has no address")
}

// RunAgent runs the node agent.
func (h *Host) RunAgent(ctx context.Context, ready func()) error {
	c := &h.cfg
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", c.KubeletPort))
	if err != nil {
		return remedy.For(fmt.Errorf("the node agent's port %d cannot be listened on (%s has it?): %w", c.KubeletPort, machine.ListenerOf(c.KubeletPort), err),
			"stop that, or choose another port with --kubelet-port")
	}
	kubelet, warnings, err := nodeconfig.Load(c.NodeConfig)
	if err != nil {
		_ = listener.Close()
		return err
	}
	for _, w := range warnings {
		h.logOf("node").Warn(w)
	}
	annotations := map[string]string{}
	if c.Behind != "" {
		annotations[peers.Behind] = c.Behind
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	agent, err := node.Start(ctx, node.Config{
		Kubelet: kubelet,
		Client:  c.Node, Logger: h.logOf("node"),
		NodeName: c.NodeName, Annotations: annotations, Addresses: []string{c.NodeAddress.String()}, Version: version.Get().Kubernetes + "+knarr",
		RuntimeEndpoint: c.RuntimeSocket(), RootDir: c.NodeRoot(), LogDir: c.LogDir, StaticPods: c.StaticPods(),
		CgroupRoot: strings.Trim(c.CgroupParent, "/"),
		ClusterDNS: []string{c.DNS.String()}, ClusterDomain: c.Domain,
		Listener: listener, Certificate: c.Certificate, ClientCAs: c.Callers,
		BeforeStop: h.beforeStop, Admit: h.admit, Peers: h.peerHandler(), EdgeMetrics: h.edge.metrics(),
	})
	if err != nil {
		_ = listener.Close()
		return err
	}
	ready()
	control := make(chan error, 1)
	go func() { control <- serveControl(ctx, c.NodeSocket(), agent) }()
	select {
	case err = <-agent.Failed():
	case err = <-control:
	case <-ctx.Done():
	}
	cancel()
	if stopped := agent.Wait(); err == nil {
		err = stopped
	}
	return err
}
