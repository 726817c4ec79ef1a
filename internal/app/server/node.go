package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/app/version"
	"github.com/knarr-io/knarr/internal/node"
)

// runNode runs the agent of this machine's node.
func (p *process) runNode(ctx context.Context, ready func()) error {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", p.KubeletPort))
	if err != nil {
		return fmt.Errorf("the node agent's port %d cannot be listened on (%s has it?): %w\n    what to do: stop that, or choose another port with --kubelet-port",
			p.KubeletPort, machine.ListenerOf(p.KubeletPort), err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	agent, err := node.Start(ctx, node.Config{
		Client: p.asNode(), Logger: p.logOf("node"),
		NodeName: p.NodeName, Addresses: []string{p.NodeAddress.String()}, Version: version.Get().Kubernetes + "+knarr",
		RuntimeEndpoint: p.RuntimeSocket(), RootDir: p.NodeRoot(), LogDir: p.LogDir,
		CgroupRoot: strings.Trim(p.CgroupParent, "/"),
		ClusterDNS: []string{p.DNS.String()}, ClusterDomain: p.Domain,
		Listener: listener, Certificate: p.certs.nodeServing.ForServer, ClientCAs: p.authority.ClusterCA().Pool(),
		BeforeStop: p.beforeStop,
	})
	if err != nil {
		_ = listener.Close()
		return err
	}
	ready()
	select {
	case err = <-agent.Failed():
		cancel()
	case <-ctx.Done():
	}
	if stopped := agent.Wait(); err == nil {
		err = stopped
	}
	return err
}

// beforeStop returns when the proxy sends no new connections to the pod.
func (p *process) beforeStop(ctx context.Context, pod *corev1.Pod) error {
	for _, ip := range pod.Status.PodIPs {
		addr, err := netip.ParseAddr(ip.IP)
		if err != nil || pod.Spec.HostNetwork {
			continue
		}
		if err := p.proxy.WaitRemoved(ctx, addr); err != nil {
			return fmt.Errorf("wait until no Service leads to the pod: %w", err)
		}
	}
	return nil
}
