// Package controller starts the controllers: the loops that bring the world
// into the state that objects declare. One folder holds one controller; its
// plan is pure, its wiring small.
//
// Controllers meet each other only through the API. Each acts under its own
// identity, with the rights that upstream gives to the controller of its name.
package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/admissionpolicy"
	"github.com/knarr-io/knarr/internal/controller/attachdetach"
	"github.com/knarr-io/knarr/internal/controller/autoscaler"
	"github.com/knarr-io/knarr/internal/controller/certificates"
	"github.com/knarr-io/knarr/internal/controller/clusterrole"
	"github.com/knarr-io/knarr/internal/controller/cronjob"
	"github.com/knarr-io/knarr/internal/controller/daemonset"
	"github.com/knarr-io/knarr/internal/controller/deployment"
	"github.com/knarr-io/knarr/internal/controller/disruption"
	"github.com/knarr-io/knarr/internal/controller/endpoints"
	"github.com/knarr-io/knarr/internal/controller/endpointslice"
	"github.com/knarr-io/knarr/internal/controller/endpointsmirror"
	"github.com/knarr-io/knarr/internal/controller/ephemeralvolume"
	"github.com/knarr-io/knarr/internal/controller/garbage"
	"github.com/knarr-io/knarr/internal/controller/job"
	"github.com/knarr-io/knarr/internal/controller/loadbalancer"
	"github.com/knarr-io/knarr/internal/controller/namespace"
	"github.com/knarr-io/knarr/internal/controller/nodeipam"
	"github.com/knarr-io/knarr/internal/controller/nodelifecycle"
	"github.com/knarr-io/knarr/internal/controller/podgc"
	"github.com/knarr-io/knarr/internal/controller/provisioner"
	"github.com/knarr-io/knarr/internal/controller/replicaset"
	"github.com/knarr-io/knarr/internal/controller/replicationcontroller"
	"github.com/knarr-io/knarr/internal/controller/resourceclaim"
	"github.com/knarr-io/knarr/internal/controller/resourcequota"
	"github.com/knarr-io/knarr/internal/controller/rootca"
	"github.com/knarr-io/knarr/internal/controller/serviceaccount"
	"github.com/knarr-io/knarr/internal/controller/servicecidr"
	"github.com/knarr-io/knarr/internal/controller/serviceip"
	"github.com/knarr-io/knarr/internal/controller/statefulset"
	"github.com/knarr-io/knarr/internal/controller/tainteviction"
	"github.com/knarr-io/knarr/internal/controller/tokencleaner"
	"github.com/knarr-io/knarr/internal/controller/ttlafterfinished"
	"github.com/knarr-io/knarr/internal/controller/volumebinder"
	"github.com/knarr-io/knarr/internal/controller/volumeprotection"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Deps is what the controllers need from the process.
type Deps struct {
	// Client gives a client that acts as the service account of that name in
	// kube-system.
	Client func(serviceAccount string) *client.Client
	// Read gives what reads paths of the API as that service account: metrics
	// come from servers that the API only passes requests on to.
	Read func(serviceAccount string) autoscaler.Get
	// Informers are shared by all controllers. Start does not start them:
	// whoever made them does, before or after.
	Informers *client.Informers
	Logger    *slog.Logger
	Metrics   *reconcile.Metrics // may be nil
	// RootCA is published in every namespace; PEM.
	RootCA []byte
	// Signer signs approved requests for certificates; nil: nobody does.
	Signer *pki.CA
	// Reserved are names and addresses that no node may serve under.
	Reserved []string
	// PodNetwork is divided into ranges of the prefix length NodeRange; an
	// invalid (zero) network leaves nodes without ranges.
	PodNetwork netip.Prefix
	NodeRange  int
	// LoadBalancer says with what Services of type LoadBalancer share the
	// nodes' addresses; nil: another program gives them theirs.
	LoadBalancer *loadbalancer.Config
	// NodePorts bound what the API server hands out.
	NodePorts serviceip.Ports
	// Types tell what admission policies are checked with; without them their
	// status is left alone.
	Types admissionpolicy.Types
}

// runner is a part with a life.
type runner interface{ Run(ctx context.Context) }

// Start wires all controllers and runs them until ctx ends. It returns once
// they are wired; wait blocks until all have stopped, events flushed.
func Start(ctx context.Context, d Deps) (wait func(), err error) {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	runners, err := d.build()
	if err != nil {
		return nil, err
	}
	var running sync.WaitGroup
	for _, r := range runners {
		running.Go(func() { r.Run(ctx) })
	}
	return running.Wait, nil
}

// build makes every controller, in no particular order.
func (d Deps) build() ([]runner, error) {
	var out []runner
	add := func(r runner) { out = append(out, r) }
	recorder := func(account, component string) *record.Recorder {
		r := record.New(d.Client(account), component, "", d.Logger)
		add(r)
		return r
	}
	inf := d.Informers

	add(namespace.New(d.Client("namespace-controller"), inf, d.options(8)))
	add(serviceaccount.New(d.Client("service-account-controller"), inf, d.options(4)))
	add(rootca.New(d.Client("root-ca-cert-publisher"), inf, d.RootCA, d.options(4)))
	add(replicaset.New(d.Client("replicaset-controller"), inf, recorder("replicaset-controller", "replicaset-controller"), d.options(8)))
	add(replicationcontroller.New(d.Client("replication-controller"), inf, recorder("replication-controller", "replication-controller"), d.options(4)))
	add(statefulset.New(d.Client("statefulset-controller"), inf, recorder("statefulset-controller", "statefulset-controller"), d.options(4)))
	add(daemonset.New(d.Client("daemon-set-controller"), inf, recorder("daemon-set-controller", "daemonset-controller"), d.options(4)))
	add(job.New(d.Client("job-controller"), inf, recorder("job-controller", "job-controller"), d.options(8)))
	add(ttlafterfinished.New(d.Client("ttl-after-finished-controller"), inf, d.options(4)))
	add(cronjob.New(d.Client("cronjob-controller"), inf, recorder("cronjob-controller", "cronjob-controller"), d.options(4)))
	add(deployment.New(d.Client("deployment-controller"), inf, recorder("deployment-controller", "deployment-controller"), d.options(8)))
	add(endpointslice.New(d.Client("endpointslice-controller"), inf, recorder("endpointslice-controller", "endpoint-slice-controller"), d.options(8)))
	add(endpoints.New(d.Client("endpoint-controller"), inf, recorder("endpoint-controller", "endpoint-controller"), d.options(4)))
	add(endpointsmirror.New(d.Client("endpointslicemirroring-controller"), inf, recorder("endpointslicemirroring-controller", "endpoint-slice-mirroring-controller"), d.options(4)))
	add(garbage.New(d.Client("generic-garbage-collector"), inf, recorder("generic-garbage-collector", "garbage-collector-controller"), d.options(16)))
	add(disruption.New(d.Client("disruption-controller"), inf, recorder("disruption-controller", "controllermanager"), d.options(4)))
	add(autoscaler.New(d.Client("horizontal-pod-autoscaler"), inf, d.Read("horizontal-pod-autoscaler"),
		recorder("horizontal-pod-autoscaler", "horizontal-pod-autoscaler"), d.options(4)))
	add(podgc.New(d.Client("pod-garbage-collector"), inf, d.options(4)))
	add(resourcequota.New(d.Client("resourcequota-controller"), inf, d.options(4)))
	add(certificates.New(d.Client("certificate-controller"), inf, d.Signer, d.Reserved, d.options(2)))
	add(tokencleaner.New(d.Client("token-cleaner"), inf, d.options(1)))
	add(clusterrole.New(d.Client("clusterrole-aggregation-controller"), inf, d.options(1)))
	add(volumebinder.New(d.Client("persistent-volume-binder"), inf, recorder("persistent-volume-binder", "persistentvolume-controller"), d.options(1)))
	add(provisioner.New(d.Client("persistent-volume-binder"), inf, recorder("persistent-volume-binder", "knarr.io/local"), d.options(2)))
	add(volumeprotection.Claims(d.Client("pvc-protection-controller"), inf, d.options(2)))
	add(volumeprotection.Volumes(d.Client("pv-protection-controller"), inf, d.options(2)))
	add(volumeprotection.Classes(d.Client("volumeattributesclass-protection-controller"), inf, d.options(1)))
	add(ephemeralvolume.New(d.Client("ephemeral-volume-controller"), inf, recorder("ephemeral-volume-controller", "ephemeral_volume"), d.options(4)))

	add(attachdetach.New(d.Client("attachdetach-controller"), inf, recorder("attachdetach-controller", "attachdetach-controller"), d.options(2)))
	add(resourceclaim.New(d.Client("resource-claim-controller"), inf, recorder("resource-claim-controller", "resource_claim"), d.options(4)))

	if d.Types.Schema != nil {
		add(admissionpolicy.New(d.Client("validatingadmissionpolicy-status-controller"), inf, d.Types, d.options(1)))
	}

	add(servicecidr.New(d.Client("service-cidrs-controller"), inf, d.options(1)))
	add(serviceip.New(d.Client("service-ip-repair"), inf, d.NodePorts, serviceip.Events{
		Addresses: recorder("service-ip-repair", "ipallocator-repair-controller"), Ports: recorder("service-ip-repair", "portallocator-repair-controller"),
	}, d.options(2)))
	if d.LoadBalancer != nil {
		add(loadbalancer.New(d.Client("service-controller"), inf, *d.LoadBalancer, recorder("service-controller", "service-controller"), d.options(1)))
	}

	nodes := recorder("node-controller", "node-controller")
	add(nodelifecycle.New(d.Client("node-controller"), inf, nodes, d.options(4)))
	add(tainteviction.New(d.Client("node-controller"), inf, recorder("node-controller", "taint-eviction-controller"), d.options(8)))
	if d.PodNetwork.IsValid() {
		ipam, err := nodeipam.New(d.Client("node-controller"), inf, d.PodNetwork, d.NodeRange, nodes, d.options(4))
		if err != nil {
			return nil, fmt.Errorf("node ranges: %w", err)
		}
		add(ipam)
	}
	return out, nil
}

func (d Deps) options(workers int) reconcile.Options {
	return reconcile.Options{Workers: workers, Logger: d.Logger, Metrics: d.Metrics}
}
