// Package simnode plays nodes: it registers Node objects with their leases,
// says of every pod bound to them that it runs and is ready, and lets go of
// pods that are to be deleted. Nothing is executed.
//
// It is for measuring control planes and for tests; it speaks to the API as
// each node's own identity, like a real agent.
package simnode

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

const (
	heartbeat     = 10 * time.Second
	leaseSeconds  = 40
	registerAtOne = 64 // registrations under way
)

// Config of a fleet.
type Config struct {
	// Client acts as the named node (user system:node:<name>).
	Client func(node string) *client.Client
	// Informers tell of pods; they may be shared.
	Informers *client.Informers
	// Count of nodes, and what they are called: Prefix and a number.
	Count  int
	Prefix string
	// Allocatable of each node; 32 CPUs, 256 GiB and 110 pods when nil.
	Allocatable corev1.ResourceList
	Labels      map[string]string
	Logger      *slog.Logger
	// Workers that write pods' statuses at once; 32 when zero.
	Workers int
}

// Fleet is a number of played nodes. Make it with New.
type Fleet struct {
	config  Config
	pods    *client.Informer[*corev1.Pod]
	loop    *reconcile.Controller[reconcile.Key]
	reports *reconcile.Controller[string] // nodes that are to say that they are ready
	nodes   map[string]*node              // fixed after New

	mu struct {
		sync.Mutex
		silent map[string]bool
	}
}

// node is one played node.
type node struct {
	name   string
	index  int
	pods   client.Typed[*corev1.Pod]
	nodes  client.Typed[*corev1.Node]
	leases client.Typed[*coordinationv1.Lease]

	mu struct {
		sync.Mutex
		addresses int // given so far
	}
}

// New makes a fleet; Run plays it.
func New(c Config) *Fleet {
	if c.Allocatable == nil {
		c.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("256Gi"),
			corev1.ResourcePods: resource.MustParse("110"), corev1.ResourceEphemeralStorage: resource.MustParse("500Gi"),
		}
	}
	if c.Prefix == "" {
		c.Prefix = "node-"
	}
	if c.Workers == 0 {
		c.Workers = 32
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{config: c, pods: client.InformerFor[*corev1.Pod](c.Informers), nodes: map[string]*node{}}
	f.mu.silent = map[string]bool{}
	for i := range c.Count {
		name := fmt.Sprintf("%s%d", c.Prefix, i)
		own := c.Client(name)
		f.nodes[name] = &node{
			name: name, index: i, pods: client.For[*corev1.Pod](own), nodes: client.For[*corev1.Node](own),
			leases: client.For[*coordinationv1.Lease](own),
		}
	}
	f.loop = reconcile.New("simulated-node", f.reconcile, reconcile.Options{Workers: c.Workers, Logger: c.Logger})
	f.pods.OnChange(func(_, new *corev1.Pod) {
		if new != nil && f.nodes[new.Spec.NodeName] != nil && pending(new) {
			f.loop.Enqueue(reconcile.Key{Namespace: new.Namespace, Name: new.Name})
		}
	})
	f.reports = reconcile.New("simulated-node-status", f.report, reconcile.Options{Workers: 4, Logger: c.Logger})
	client.InformerFor[*corev1.Node](c.Informers).OnChange(func(_, new *corev1.Node) {
		if new != nil && f.nodes[new.Name] != nil && lost(new) {
			f.reports.Enqueue(new.Name)
		}
	})
	return f
}

// Names of all nodes.
func (f *Fleet) Names() []string {
	out := make([]string, 0, len(f.nodes))
	for name := range f.nodes {
		out = append(out, name)
	}
	return out
}

// Silence stops (or resumes) a node: no heartbeat, nothing done to its pods.
func (f *Fleet) Silence(name string, silent bool) {
	f.mu.Lock()
	f.mu.silent[name] = silent
	f.mu.Unlock()
	if silent {
		return
	}
	f.reports.Enqueue(name)
	for _, pod := range f.pods.List("", nil) {
		if pod.Spec.NodeName == name && pending(pod) {
			f.loop.Enqueue(reconcile.Key{Namespace: pod.Namespace, Name: pod.Name})
		}
	}
}

func (f *Fleet) isSilent(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.silent[name]
}

// Register makes all nodes known, several at a time.
func (f *Fleet) Register(ctx context.Context) error {
	slots := make(chan struct{}, registerAtOne)
	errs := make(chan error, len(f.nodes))
	for _, n := range f.nodes {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			errs <- f.register(ctx, n)
		}()
	}
	var first error
	for range f.nodes {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Run plays until ctx ends. Register before or meanwhile.
func (f *Fleet) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { f.loop.Run(ctx) })
	running.Go(func() { f.reports.Run(ctx) })
	for _, n := range f.nodes {
		running.Go(func() { f.beat(ctx, n) })
	}
	running.Wait()
}

// beat renews a node's lease, each node at its own point of the interval.
func (f *Fleet) beat(ctx context.Context, n *node) {
	timer := time.NewTimer(heartbeat * time.Duration(n.index%100+1) / 100)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(heartbeat)
		if f.isSilent(n.name) {
			continue
		}
		if err := n.renew(ctx); err != nil {
			f.config.Logger.Debug("a simulated node could not renew its lease", "node", n.name, "error", err)
		}
	}
}

func (n *node) renew(ctx context.Context) error {
	lease, err := n.leases.Get(ctx, corev1.NamespaceNodeLease, n.name)
	if apierrors.IsNotFound(err) {
		if _, err = n.leases.Create(ctx, n.lease()); apierrors.IsAlreadyExists(err) {
			return nil // the heartbeat was there first
		}
		return err
	}
	if err != nil {
		return err
	}
	changed := lease.DeepCopy()
	changed.Spec.RenewTime = n.lease().Spec.RenewTime
	if _, err = n.leases.Update(ctx, changed); apierrors.IsConflict(err) {
		return nil // renewed by the other of heartbeat and registration
	}
	return err
}

func (n *node) lease() *coordinationv1.Lease {
	now := metav1.NowMicro()
	seconds := int32(leaseSeconds)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: n.name},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &n.name, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
}
