package testkit

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller"
	"github.com/knarr-io/knarr/internal/controller/autoscaler"
	"github.com/knarr-io/knarr/internal/controller/loadbalancer"
	"github.com/knarr-io/knarr/internal/controller/serviceip"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controllers starts the controllers of a cluster that runs none, on informers
// of their own, as a process would that takes over from another. They reach
// the API through what between makes of their transport. stop ends them
// wherever they are; the end of the test does, too.
func (c *Cluster) Controllers(t testing.TB, between func(request.Transport) request.Transport) (stop func()) {
	t.Helper()
	as := func(name string, groups ...string) *client.Client {
		return client.New(between(c.Server.Transport(identity(name, groups...))), c.Catalog)
	}
	ctx, cancel := context.WithCancel(context.Background())
	informers := client.NewInformers(as("system:kube-controller-manager"), c.Logger)
	wait, err := controller.Start(ctx, c.forControllers(informers, func(name string) *client.Client {
		return as(serviceAccount(name)).WithManager("kube-controller-manager")
	}, nil, nil))
	if err != nil {
		cancel()
		t.Fatal("starting the controllers: ", err)
	}
	informers.Start(ctx)
	stop = sync.OnceFunc(func() {
		cancel()
		wait()
		informers.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// forControllers is what controllers are started with. account gives a client
// that acts as a service account in kube-system.
func (c *Cluster) forControllers(informers *client.Informers, account func(string) *client.Client, metrics *reconcile.Metrics, signer *pki.CA) controller.Deps {
	return controller.Deps{
		Client: account, Read: c.readsAs, Informers: informers, Logger: c.Logger, Metrics: metrics,
		RootCA: []byte("test CA"), Signer: signer, PodNetwork: netip.MustParsePrefix("10.0.0.0/8"), NodeRange: 24,
		LoadBalancer: &loadbalancer.Config{}, NodePorts: serviceip.Ports{First: 30000, Last: 32767}, Types: c.types(),
	}
}

// serviceAccount is the user and the groups of a service account in
// kube-system.
func serviceAccount(name string) (user string, system, namespace string) {
	return "system:serviceaccount:kube-system:" + name, "system:serviceaccounts", "system:serviceaccounts:kube-system"
}

func (c *Cluster) serviceAccount(name string) *client.Client {
	return c.As(serviceAccount(name)).WithManager("kube-controller-manager")
}

func (c *Cluster) readsAs(name string) autoscaler.Get {
	return c.Server.Get(identity(serviceAccount(name)))
}
