package server

import (
	"context"
	"sync"

	"github.com/knarr-io/knarr/internal/app/version"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/simulated"
)

// simulatedPrefix begins the names of simulated nodes, before their number.
const simulatedPrefix = "simulated-"

// runSimulated plays the nodes that were asked for, and takes away those of an
// earlier run that are too many.
func (p *process) runSimulated(ctx context.Context, ready func()) error {
	c := simulated.Config{
		Client:    func(node string) *client.Client { return p.as("kubelet", "system:node:"+node, "system:nodes") },
		Informers: p.informers, Prefix: simulatedPrefix, Version: version.Get().API().GitVersion, EndJobs: true, Logger: p.logOf("simulated nodes"),
	}
	if p.Simulate != nil {
		c.Count, c.Delay = p.Simulate.Nodes, p.Simulate.Delay
	}
	fleet := simulated.New(c)
	if err := fleet.Retire(ctx, p.as("knarr", "system:knarr:addons", "system:masters")); err != nil {
		return err
	}
	if c.Count == 0 {
		ready()
		<-ctx.Done()
		return nil
	}
	var playing sync.WaitGroup
	playing.Go(func() { fleet.Run(ctx) })
	defer playing.Wait()
	// The cluster is whole without some of them.
	if err := fleet.Register(ctx); err != nil && ctx.Err() == nil {
		c.Logger.Error("not every simulated node is there", "error", err)
	}
	ready()
	<-ctx.Done()
	return nil
}
