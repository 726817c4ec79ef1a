package server

import (
	"context"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/podnet"
	"github.com/knarr-io/knarr/internal/network/proxy"
	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// runProxy prepares the node's network and keeps Services reachable. It is
// ready when the rules of all Services stand.
func (p *process) runProxy(ctx context.Context, ready func()) error {
	log := p.logOf("proxy")
	if err := podnet.Setup(p.Network(log)); err != nil {
		return err
	}
	table, err := ruleset.Open(ruleset.Config{Pods: p.Pods})
	if err != nil {
		return err
	}
	defer func() { p.closed("nftables", table.Close()) }()
	informers := client.NewInformers(p.as("kube-proxy", "system:kube-proxy"), log)
	pods := client.NewInformers(p.asNode(), log)
	p.proxy = proxy.New(proxy.Config{Node: p.NodeName, Informers: informers, Pods: pods, Table: table, Forget: proxy.ForgetUDP, Logger: log})
	ctx, cancel := context.WithCancel(ctx)
	defer informers.Wait()
	defer pods.Wait()
	defer cancel()
	informers.Start(ctx)
	pods.Start(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.proxy.Run(ctx) }()
	if err := p.proxy.WaitSynced(ctx); err == nil {
		ready()
	}
	return <-ended
}
