package simulated

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// registerAtOne is how many registrations are under way at a time.
const registerAtOne = 64

// MaxNodes is how many nodes the made-up networks have addresses for.
const MaxNodes = 1 << 14

// Config of a fleet.
type Config struct {
	// Client acts as the named node (user system:node:<name>).
	Client func(node string) *client.Client
	// Informers tell of pods and nodes; they may be shared.
	Informers *client.Informers
	// Count of nodes, MaxNodes at most, and what they are called: Prefix
	// ("node-" when empty) and a number from zero.
	Count  int
	Prefix string
	// Allocatable of each node; 32 CPUs, 256 GiB and 110 pods when nil.
	Allocatable corev1.ResourceList
	Labels      map[string]string
	// Version is what the nodes call the version of their kubelet.
	Version string
	// Delay is how long a pod's containers take to start.
	Delay time.Duration
	// EndJobs lets containers of Jobs exit with success at once; without it only
	// those whose pods say how long they run.
	EndJobs bool
	Logger  *slog.Logger
	// Workers that write pods' statuses at once; 32 when zero.
	Workers int
}

// Fleet is a number of played nodes. Make it with New; its methods are safe
// for concurrent use.
type Fleet struct {
	config  Config
	rules   rules
	pods    *client.Informer[*corev1.Pod]
	told    *client.Informer[*corev1.Node]
	loop    *reconcile.Controller[reconcile.Key]
	reports *reconcile.Controller[string] // nodes that are to say that they are ready
	nodes   map[string]*node              // fixed after New
	order   []*node                       // the same, by index

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
		addresses int                   // given so far
		held      [podsOfNode]bool      // by pods, by the last part of the address
		lease     *coordinationv1.Lease // as last written; nil: not known
	}
}

// New makes a fleet; Run plays it.
func New(c Config) *Fleet {
	c.complete()
	f := &Fleet{config: c, rules: rules{endJobs: c.EndJobs}, pods: client.InformerFor[*corev1.Pod](c.Informers), nodes: make(map[string]*node, c.Count)}
	f.mu.silent = map[string]bool{}
	for i := range min(c.Count, MaxNodes) {
		name := fmt.Sprintf("%s%d", c.Prefix, i)
		own := c.Client(name)
		n := &node{
			name: name, index: i, pods: client.For[*corev1.Pod](own), nodes: client.For[*corev1.Node](own),
			leases: client.For[*coordinationv1.Lease](own),
		}
		f.nodes[name], f.order = n, append(f.order, n)
	}
	f.loop = reconcile.New("simulated-node", f.reconcile, reconcile.Options{Workers: c.Workers, Logger: c.Logger})
	f.pods.OnChange(func(old, new *corev1.Pod) {
		f.addressesChanged(old, new)
		f.look(new)
	})
	f.reports = reconcile.New("simulated-node-status", f.report, reconcile.Options{Workers: 4, Logger: c.Logger})
	f.told = client.InformerFor[*corev1.Node](c.Informers)
	f.told.OnChange(f.nodeChanged)
	return f
}

func (f *Fleet) nodeChanged(old, new *corev1.Node) {
	if new == nil || f.nodes[new.Name] == nil {
		return
	}
	if old != nil && old.Annotations[simulated.Silent] != "" && new.Annotations[simulated.Silent] == "" {
		f.wake(new.Name)
	}
	if lost(new) {
		f.reports.Enqueue(new.Name)
	}
}

func (c *Config) complete() {
	if c.Allocatable == nil {
		c.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("256Gi"),
			corev1.ResourcePods: resource.MustParse("110"), corev1.ResourceEphemeralStorage: resource.MustParse("500Gi"),
		}
	}
	if c.Prefix == "" {
		c.Prefix = "node-"
	}
	if c.Version == "" {
		c.Version = "v1.36.0"
	}
	if c.Workers == 0 {
		c.Workers = 32
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// look queues a pod that one of the nodes has something to do for.
func (f *Fleet) look(pod *corev1.Pod) {
	if pod != nil && f.nodes[pod.Spec.NodeName] != nil && f.rules.pending(pod) {
		f.loop.Enqueue(reconcile.Key{Namespace: pod.Namespace, Name: pod.Name})
	}
}

// Names of all nodes, by number.
func (f *Fleet) Names() []string {
	out := make([]string, 0, len(f.order))
	for _, n := range f.order {
		out = append(out, n.name)
	}
	return out
}

// Silence stops (or resumes) a node: no heartbeat, nothing done to its pods.
func (f *Fleet) Silence(name string, silent bool) {
	f.mu.Lock()
	f.mu.silent[name] = silent
	f.mu.Unlock()
	if !silent {
		f.wake(name)
	}
}

// wake lets a node catch up with what happened while it was silent.
func (f *Fleet) wake(name string) {
	f.reports.Enqueue(name)
	for _, pod := range f.pods.List("", nil) {
		if pod.Spec.NodeName == name {
			f.look(pod)
		}
	}
}

func (f *Fleet) isSilent(name string) bool {
	if n, ok := f.told.Get("", name); ok && n.Annotations[simulated.Silent] != "" {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.silent[name]
}

// Run plays until ctx ends. Register before or meanwhile.
func (f *Fleet) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { f.loop.Run(ctx) })
	running.Go(func() { f.reports.Run(ctx) })
	for first := range min(beaters, len(f.order)) {
		running.Go(func() { f.beat(ctx, first) })
	}
	running.Wait()
}
