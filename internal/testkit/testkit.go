// Package testkit runs a whole control plane in the test's process: the store
// in memory, the object cache, the API server with its real authorization and
// admission, the controllers, the scheduler and simulated nodes. What a test
// sees is what a cluster does.
package testkit

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/base/pki"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller"
	"github.com/knarr-io/knarr/internal/node/simulated"
	"github.com/knarr-io/knarr/internal/reconcile"
	"github.com/knarr-io/knarr/internal/scheduler"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// Token is what TokenAuth takes for the cluster's administrator.
const Token = "test-administrator"

// Options say what runs beside the API server.
type Options struct {
	NoControllers bool
	NoScheduler   bool
	// Nodes to simulate.
	Nodes int
	// CheckMutation fails the test where somebody changes a shared object; it
	// costs time and is off in benchmarks.
	CheckMutation bool
	// Signer signs approved requests for certificates; nil: nobody does.
	Signer *pki.CA
	// Aggregated answers for paths that the API only passes on; may be nil.
	Aggregated func(path string) http.Handler
	// Verbose logs to the test's output.
	Verbose bool
}

// Cluster is a running control plane.
type Cluster struct {
	Catalog   *catalog.Catalog
	documents *openapi.Documents
	Server    *apiserver.Server
	Admin     *client.Client
	Informers *client.Informers // shared by all parts
	Fleet     *simulated.Fleet  // nil without nodes
	Registry  *prometheus.Registry
	Logger    *slog.Logger

	stop  context.CancelFunc
	parts []func() // to wait for, in order
}

// Start brings a cluster up; it stops when the test ends.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &Cluster{Registry: prometheus.NewRegistry(), stop: cancel, Logger: logger(t, o.Verbose)}
	t.Cleanup(c.shutDown)
	if err := c.startServer(ctx, t, o); err != nil {
		t.Fatal("starting the API server: ", err)
	}
	c.Informers = client.NewInformers(c.As("system:kube-controller-manager"), c.Logger)
	if err := c.startParts(ctx, o); err != nil {
		t.Fatal("starting the parts: ", err)
	}
	if !o.NoControllers { // no pod can be created without it
		accounts := client.InformerFor[*corev1.ServiceAccount](c.Informers)
		await.Until(t, time.Minute, "the default service account is there", func() bool {
			_, ok := accounts.Get("default", "default")
			return ok
		})
	}
	return c
}

func (c *Cluster) startParts(ctx context.Context, o Options) error {
	if !o.NoControllers {
		metrics, err := reconcile.NewMetrics(c.Registry)
		if err != nil {
			return err
		}
		wait, err := controller.Start(ctx, c.forControllers(c.Informers, c.serviceAccount, metrics, o.Signer))
		if err != nil {
			return err
		}
		c.parts = append(c.parts, wait)
	}
	if !o.NoScheduler {
		metrics, err := scheduler.NewMetrics(c.Registry)
		if err != nil {
			return err
		}
		wait, err := scheduler.Start(ctx, scheduler.Deps{
			Client: c.As("system:kube-scheduler"), Informers: c.Informers, Logger: c.Logger, Metrics: metrics,
		})
		if err != nil {
			return err
		}
		c.parts = append(c.parts, wait)
	}
	c.parts = append(c.parts, c.Informers.Wait)
	if o.Nodes > 0 {
		c.Fleet = simulated.New(simulated.Config{Client: c.node, Informers: c.Informers, Count: o.Nodes, Logger: c.Logger})
		var running sync.WaitGroup
		running.Go(func() { c.Fleet.Run(ctx) })
		c.parts = append(c.parts, running.Wait)
	}
	c.Informers.Start(ctx)
	if err := c.Informers.WaitSynced(ctx); err != nil {
		return err
	}
	if c.Fleet != nil {
		return c.Fleet.Register(ctx)
	}
	return nil
}

// As is a client under a user's name and groups.
func (c *Cluster) As(name string, groups ...string) *client.Client {
	return client.New(c.Server.Transport(identity(name, groups...)), c.Catalog)
}

func identity(name string, groups ...string) user.Info {
	return &user.DefaultInfo{Name: name, Groups: append(groups, user.AllAuthenticated)}
}

func (c *Cluster) node(name string) *client.Client {
	return c.As("system:node:"+name, user.NodesGroup).WithManager("kubelet")
}

func (c *Cluster) shutDown() {
	c.stop()
	for _, wait := range c.parts {
		wait()
	}
}

// tokenAuth lets the administrator in by Token, and nobody else.
func tokenAuth() authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		if strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") != Token {
			return nil, false, nil
		}
		return &authenticator.Response{User: administrator()}, true, nil
	})
}

func administrator() user.Info {
	return &user.DefaultInfo{Name: "kubernetes-admin", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}
}

func logger(t testing.TB, verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name())
}
