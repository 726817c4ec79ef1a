// Package scheduler gives every waiting pod a node.
//
// One goroutine owns all state: the nodes with what their pods take, and the
// queue of waiting pods. Informers put changes into an inbox; the goroutine
// takes them out, tries pods one by one, counts a chosen pod as running at
// once (assumes it) and hands it to a binder, whose answer comes back through
// the inbox. So nothing is locked during an attempt, and the state is always
// whole.
//
// What decides about a node are the plugins of the pod's profile (package
// plugins, written against package framework). The scheduler writes bindings,
// the PodScheduled condition and events.
package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

// mostBinds is how many bindings are under way at once.
const mostBinds = 128

// Profile is a way of scheduling that pods choose by spec.schedulerName.
type Profile struct {
	Name    string
	Plugins []plugins.Weighted
	// Percent of the nodes are enough feasible ones to choose among; zero: fewer
	// the more nodes there are.
	Percent int
}

// Deps is what the scheduler needs from the process.
type Deps struct {
	Client    *client.Client // acts as system:kube-scheduler
	Informers *client.Informers
	Logger    *slog.Logger
	Metrics   *Metrics // may be nil
	// Configure makes the profiles from what their plugins look up; nil: one,
	// "default-scheduler" with plugins.Default.
	Configure func(plugins.Sources) []Profile
	// Backoff bounds the pause of a pod that no node took; zero: upstream's.
	Backoff queue.Backoff
	// Seed makes the choice among equally good nodes repeatable.
	Seed uint64
}

// Scheduler runs the loop. Make it with New.
type Scheduler struct {
	pods     client.Typed[*corev1.Pod]
	podInf   *client.Informer[*corev1.Pod]
	nodeInf  *client.Informer[*corev1.Node]
	logger   *slog.Logger
	metrics  *Metrics
	profiles map[string]*profile
	syncers  []syncer
	budgets  budgetLister
	volumes  *volumes
	devices  *devices
	inbox    inbox
	binds    chan struct{} // slots
	binders  sync.WaitGroup

	// Below is the loop's own.
	cluster   *cluster
	placed    map[types.UID]placement
	nominated *nominations
	queue     *queue.Queue
	random    *rand.Rand
	next      int // where the next search for nodes begins
	recall    recall
}

// placement is a pod that counts on a node.
type placement struct {
	node    string
	pod     *corev1.Pod
	assumed bool // not yet seen bound
}

// Start makes a scheduler and runs it until ctx ends; wait blocks until it
// has stopped.
func Start(ctx context.Context, d Deps) (wait func(), err error) {
	s, err := New(d)
	if err != nil {
		return nil, err
	}
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	return running.Wait, nil
}

// New wires a scheduler to its informers.
func New(d Deps) (*Scheduler, error) {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	from, storage := newSources(d.Informers), newVolumes(d.Client, d.Informers)
	lookUp := from.forPlugins()
	hardware := newDevices(d.Client, d.Informers)
	lookUp.Volumes, lookUp.Devices = storage.forPlugins(), hardware.forPlugins()
	profiles := []Profile{{Name: corev1.DefaultSchedulerName, Plugins: plugins.Default(lookUp)}}
	if d.Configure != nil {
		profiles = d.Configure(lookUp)
	}
	s := &Scheduler{
		pods:   client.For[*corev1.Pod](d.Client),
		podInf: client.InformerFor[*corev1.Pod](d.Informers), nodeInf: client.InformerFor[*corev1.Node](d.Informers),
		logger: d.Logger, metrics: d.Metrics, profiles: map[string]*profile{},
		inbox: newInbox(), binds: make(chan struct{}, mostBinds),
		cluster: newCluster(), placed: map[types.UID]placement{}, nominated: newNominations(),
		random: rand.New(rand.NewPCG(d.Seed, 0)),
	}
	budgets := client.InformerFor[*policyv1.PodDisruptionBudget](d.Informers)
	s.budgets, s.volumes, s.devices = budgets, storage, hardware
	s.syncers = append(from.all(), s.podInf, s.nodeInf, budgets)
	s.syncers = append(append(s.syncers, storage.all()...), hardware.all()...)
	var gates []framework.PreEnqueuer
	for _, p := range profiles {
		if s.profiles[p.Name] != nil {
			return nil, fmt.Errorf("two scheduling profiles are named %q", p.Name)
		}
		s.profiles[p.Name] = newProfile(p, record.New(d.Client, p.Name, "", d.Logger))
		gates = appendGates(gates, p.Plugins)
	}
	s.queue = queue.New(gates, d.Backoff)
	s.nodeInf.OnChange(func(old, new *corev1.Node) { s.inbox.put(message{kind: nodeMessage, oldNode: old, newNode: new}) })
	s.podInf.OnChange(func(old, new *corev1.Pod) { s.inbox.put(message{kind: podMessage, oldPod: old, newPod: new}) })
	tell(s, from.namespaces)
	storage.tell(s)
	hardware.tell(s)
	return s, nil
}

// appendGates adds the gates of a profile that are not there yet.
func appendGates(gates []framework.PreEnqueuer, list []plugins.Weighted) []framework.PreEnqueuer {
	for _, w := range list {
		g, ok := at[framework.PreEnqueuer](w, plugins.PreEnqueue)
		for _, have := range gates {
			ok = ok && have != g
		}
		if ok {
			gates = append(gates, g)
		}
	}
	return gates
}

// Run schedules until ctx ends and every binding has returned.
func (s *Scheduler) Run(ctx context.Context) {
	var recorders sync.WaitGroup
	for _, p := range s.profiles {
		recorders.Go(func() { p.events.Run(ctx) })
	}
	defer recorders.Wait()
	defer s.binders.Wait()
	for _, i := range s.syncers {
		if i.WaitSynced(ctx) != nil {
			return
		}
	}
	for ctx.Err() == nil {
		for _, m := range s.inbox.take() {
			s.handle(m)
		}
		now := time.Now()
		if e := s.queue.Pop(now); e != nil {
			s.attempt(ctx, e, now)
			continue
		}
		s.metrics.pending(s.queue)
		s.idle(ctx, now)
	}
}

// idle waits for a message or for the end of a back-off.
func (s *Scheduler) idle(ctx context.Context, now time.Time) {
	var alarm <-chan time.Time
	if due := s.queue.Due(); !due.IsZero() {
		timer := time.NewTimer(due.Sub(now))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-s.inbox.ready:
	case <-alarm:
	case <-ctx.Done():
	}
}
