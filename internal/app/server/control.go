package server

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller"
	"github.com/knarr-io/knarr/internal/controller/admissionpolicy"
	"github.com/knarr-io/knarr/internal/controller/loadbalancer"
	"github.com/knarr-io/knarr/internal/controller/serviceip"
	"github.com/knarr-io/knarr/internal/edge/ingress"
	"github.com/knarr-io/knarr/internal/reconcile"
	"github.com/knarr-io/knarr/internal/scheduler"
	"github.com/knarr-io/knarr/internal/scheduler/config"
)

// nodeRange is the prefix length of a node's part of the pod network.
const nodeRange = 24

// runControl runs the controllers and the scheduler. They share one set of
// informers, so that the process holds each index and watch once; each writes
// under its own identity.
func (p *process) runControl(ctx context.Context, ready func()) error {
	log := p.logOf("control")
	ctx, cancel := context.WithCancel(ctx)
	informers := client.NewInformers(p.as(controllerManager, "system:kube-controller-manager"), log)
	defer informers.Wait()
	defer cancel()
	p.informers = informers
	for _, start := range []func(context.Context, *client.Informers) (func(), error){p.startControllers, p.startScheduler} {
		wait, err := start(ctx, informers)
		if err != nil {
			return err
		}
		defer wait()
		defer cancel()
	}
	informers.Start(ctx)
	ready()
	<-ctx.Done()
	return nil
}

func (p *process) startControllers(ctx context.Context, informers *client.Informers) (wait func(), err error) {
	metrics, err := reconcile.NewMetrics(p.registry)
	if err != nil {
		return nil, err
	}
	return controller.Start(ctx, controller.Deps{
		Client: p.asController, Read: p.readsAs, Informers: informers, Logger: p.logOf("controllers"), Metrics: metrics,
		RootCA: p.authority.ClusterCA().PEM(), Signer: p.authority.ClusterCA(), Reserved: p.ownNames(), PodNetwork: p.Pods, NodeRange: nodeRange,
		LoadBalancer: p.loadBalancer(), NodePorts: serviceip.Ports{First: firstNodePort, Last: lastNodePort},
		Types: admissionpolicy.Types{Kind: p.kindOf, Schema: p.documents.Schema},
	})
}

// loadBalancer says what shares this machine's addresses with Services.
func (p *process) loadBalancer() *loadbalancer.Config {
	if p.Settings.LoadBalancer == "none" {
		return nil
	}
	return &loadbalancer.Config{
		Listener:     func(port int32) string { return machine.Outward(int(port)) },
		IngressPorts: []int32{int32(p.HTTPPort), int32(p.HTTPSPort)}, IngressController: ingress.Controller,
	}
}

// ownNames are the names and addresses that the API serves under.
func (p *process) ownNames() []string {
	leaf := p.certs.api.Leaf()
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// kindOf is the kind of a resource; empty where there is none.
func (p *process) kindOf(gvr schema.GroupVersionResource) schema.GroupVersionKind {
	if k := p.kinds.Resource(gvr); k != nil {
		return k.GVK
	}
	return schema.GroupVersionKind{}
}

func (p *process) startScheduler(ctx context.Context, informers *client.Informers) (wait func(), err error) {
	metrics, err := scheduler.NewMetrics(p.registry)
	if err != nil {
		return nil, err
	}
	d := scheduler.Deps{Client: p.as("kube-scheduler", "system:kube-scheduler"), Informers: informers, Logger: p.logOf("scheduler"),
		Metrics: metrics, Seed: uint64(time.Now().UnixNano())}
	if file := p.SchedulerConfig; file != "" {
		c, err := config.Load(file)
		if err != nil {
			return nil, err
		}
		d.Configure, d.Backoff = c.Profiles, c.Backoff()
	}
	return scheduler.Start(ctx, d)
}
