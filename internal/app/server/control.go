package server

import (
	"context"
	"time"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller"
	"github.com/knarr-io/knarr/internal/reconcile"
	"github.com/knarr-io/knarr/internal/scheduler"
)

// nodeRange is the prefix length of a node's part of the pod network.
const nodeRange = 24

// runControllers runs every controller. They share informers, and each acts
// under its own identity.
func (p *process) runControllers(ctx context.Context, ready func()) error {
	metrics, err := reconcile.NewMetrics(p.registry)
	if err != nil {
		return err
	}
	log := p.logOf("controllers")
	ctx, cancel := context.WithCancel(ctx)
	informers := client.NewInformers(p.as("system:kube-controller-manager"), log)
	defer informers.Wait()
	defer cancel()
	wait, err := controller.Start(ctx, controller.Deps{
		Client: p.asController, Informers: informers, Logger: log, Metrics: metrics,
		RootCA: p.authority.ClusterCA().PEM(), PodNetwork: p.Pods, NodeRange: nodeRange,
	})
	if err != nil {
		return err
	}
	defer wait()
	informers.Start(ctx)
	ready()
	<-ctx.Done()
	return nil
}

// runScheduler gives pods their nodes.
func (p *process) runScheduler(ctx context.Context, ready func()) error {
	metrics, err := scheduler.NewMetrics(p.registry)
	if err != nil {
		return err
	}
	log := p.logOf("scheduler")
	ctx, cancel := context.WithCancel(ctx)
	c := p.as("system:kube-scheduler")
	informers := client.NewInformers(c, log)
	defer informers.Wait()
	defer cancel()
	wait, err := scheduler.Start(ctx, scheduler.Deps{Client: c, Informers: informers, Logger: log, Metrics: metrics, Seed: uint64(time.Now().UnixNano())})
	if err != nil {
		return err
	}
	defer wait()
	informers.Start(ctx)
	ready()
	<-ctx.Done()
	return nil
}
