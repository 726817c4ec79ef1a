package register

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/eviction"
)

const (
	leaseEvery = 10 * time.Second
	// runtimeTime is how long the runtime may take to answer all that a round
	// asks: one that is away must not keep the node from telling so.
	runtimeTime = 2 * time.Second
	firstRetry  = 50 * time.Millisecond
	lastRetry   = 5 * time.Second
)

// Recorder tells events; *record.Recorder is one.
type Recorder interface {
	EventRef(regarding corev1.ObjectReference, typ, reason, message string)
}

// Config says who the node is.
type Config struct {
	Name, Hostname string
	Addresses      []string // the primary one first
	Port           int32    // of the kubelet API
	Version        string   // as v1.36.0
	MaxPods        int64
	Labels         map[string]string
	Annotations    map[string]string
	Taints         []corev1.Taint
	// LeaseSeconds is how long the lease holds; it is renewed four times as
	// often. ReportEvery is how often an unchanged status is written, MaxImages
	// how many images it names (negative: all).
	LeaseSeconds int32
	ReportEvery  time.Duration
	MaxImages    int
	ProviderID   string
	// LocalVolumes is where volumes lie that are made for claims; may be empty.
	LocalVolumes string
	Reserved     corev1.ResourceList
	Machine      *Machine
	// Eviction keeps something of the machine from pods; Pressure tells whether
	// the node has one of its conditions.
	Eviction eviction.Config
	Pressure func(corev1.NodeConditionType) bool
	// Stopping tells that the node is about to be switched off; may be nil.
	Stopping func() bool
	// PodCIDR is used until the API has given the node a range; may be empty.
	PodCIDR string

	Client   *client.Client
	Informer *client.Informer[*corev1.Node] // of this node alone
	Runtime  *cri.Client
	Recorder Recorder
	Logger   *slog.Logger
}

// leaseEvery is how often the lease is renewed and the machine looked at.
func (c *Config) leaseEvery() time.Duration {
	return min(max(time.Duration(c.LeaseSeconds)*time.Second/4, time.Second), leaseEvery)
}

// Registrar keeps the Node. Node may be called at any time; Run once.
type Registrar struct {
	cfg  Config
	node atomic.Pointer[corev1.Node]
	kick chan struct{}
	// cidr, reported and lease belong to Run's goroutine.
	cidr     string
	reported time.Time
	lease    lease
}

// New makes a registrar; nothing is written before Run.
func New(cfg Config) *Registrar {
	r := &Registrar{cfg: cfg, kick: make(chan struct{}, 1)}
	r.lease.cfg = &r.cfg
	return r
}

// Node is the Node as last read or written; nil before it was registered.
func (r *Registrar) Node() *corev1.Node { return r.node.Load() }

// Check asks for the status to be looked at now.
func (r *Registrar) Check() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// Run registers the node and keeps it until ctx ends.
func (r *Registrar) Run(ctx context.Context) error {
	r.cfg.Informer.OnChange(func(_, node *corev1.Node) {
		if node != nil {
			r.node.Store(node)
		}
		r.Check()
	})
	r.cfg.Recorder.EventRef(r.reference(), corev1.EventTypeNormal, "Starting", "Starting kubelet.")
	timer := time.NewTimer(0)
	defer timer.Stop()
	retry := firstRetry
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-r.kick:
		}
		wait := r.cfg.leaseEvery()
		if ok := r.round(ctx); ok {
			retry = firstRetry
		} else {
			wait, retry = retry, min(2*retry, lastRetry)
		}
		timer.Reset(wait)
	}
}

// round does all that is due and tells whether everything is in order.
func (r *Registrar) round(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, leaseEvery)
	defer cancel()
	node, err := r.ensure(ctx)
	if err != nil {
		r.cfg.Logger.Warn("the node is not registered yet", "error", err)
		return false
	}
	if err := r.passRange(ctx, node); err != nil {
		r.cfg.Logger.Warn("the runtime did not take the pod range", "error", err)
	}
	o := r.observe(ctx)
	ok := notReady(o) == ""
	if err := r.report(ctx, node, o); err != nil {
		if !apierrors.IsConflict(err) && !errors.Is(err, context.Canceled) {
			r.cfg.Logger.Warn("the node's status is not written", "error", err)
		}
		ok = false
	}
	if err := r.lease.renew(ctx, node.UID); err != nil {
		r.cfg.Logger.Warn("the node's lease is not renewed", "error", err)
		ok = false
	}
	return ok
}

// ensure reads the Node, or creates it.
func (r *Registrar) ensure(ctx context.Context) (*corev1.Node, error) {
	nodes := client.For[*corev1.Node](r.cfg.Client)
	node := r.node.Load()
	if node != nil {
		if _, held := r.cfg.Informer.Get("", r.cfg.Name); !held && r.cfg.Informer.HasSynced() {
			node = nil // somebody deleted it
		}
	}
	var err error
	if node == nil {
		node, err = nodes.Get(ctx, "", r.cfg.Name)
	}
	if apierrors.IsNotFound(err) {
		node, err = nodes.Create(ctx, r.fresh())
	}
	if err != nil {
		return nil, err
	}
	labelled := node.DeepCopy()
	if nodeMeta(labelled, &r.cfg); !equality.Semantic.DeepEqual(labelled.ObjectMeta, node.ObjectMeta) {
		if node, err = nodes.Update(ctx, labelled); err != nil {
			return nil, err
		}
	}
	return r.keep(node), nil
}

// keep takes in what the API answered of the Node, and gives the newest that is
// known: the informer may have told of a later state meanwhile, and tells it
// once.
func (r *Registrar) keep(answer *corev1.Node) *corev1.Node {
	for {
		known := r.node.Load()
		if known != nil && older(answer, known) {
			return known
		}
		if r.node.CompareAndSwap(known, answer) {
			return answer
		}
	}
}

// older tells whether a is an earlier state of the Node than b.
func older(a, b *corev1.Node) bool {
	x, errA := strconv.ParseUint(a.ResourceVersion, 10, 64)
	y, errB := strconv.ParseUint(b.ResourceVersion, 10, 64)
	return errA == nil && errB == nil && x < y
}

func (r *Registrar) fresh() *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: r.cfg.Name}, Spec: corev1.NodeSpec{Taints: r.cfg.Taints, ProviderID: r.cfg.ProviderID}}
	nodeMeta(node, &r.cfg)
	node.Status = nodeStatus(&node.Status, &r.cfg, &Observed{Machine: r.cfg.Machine, Pressure: r.cfg.Pressure}, time.Now())
	return node
}

// passRange tells the runtime the node's pod range as soon as it is known.
func (r *Registrar) passRange(ctx context.Context, node *corev1.Node) error {
	cidr := node.Spec.PodCIDR
	if len(node.Spec.PodCIDRs) > 1 {
		cidr = node.Spec.PodCIDRs[0] + "," + node.Spec.PodCIDRs[1]
	}
	if cidr == "" {
		cidr = r.cfg.PodCIDR
	}
	if cidr == "" || cidr == r.cidr {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, runtimeTime)
	defer cancel()
	if err := r.cfg.Runtime.SetPodCIDR(ctx, cidr); err != nil {
		return err
	}
	r.cidr = cidr
	return nil
}

func (r *Registrar) observe(ctx context.Context) *Observed {
	o := &Observed{Machine: r.cfg.Machine, Pressure: r.cfg.Pressure, Stopping: r.cfg.Stopping != nil && r.cfg.Stopping()}
	ctx, cancel := context.WithTimeout(ctx, runtimeTime)
	defer cancel()
	if o.Runtime, o.RuntimeError = r.cfg.Runtime.Status(ctx); o.RuntimeError != nil {
		o.Runtime = nil
		// It may be a new one when it is back, which knows no range.
		r.cidr = ""
		return o
	}
	var err error
	if o.Version, err = r.cfg.Runtime.Version(ctx); err != nil {
		r.cfg.Logger.Warn("the runtime's version is unknown", "error", err)
	}
	if o.Images, err = r.cfg.Runtime.Images(ctx); err != nil {
		r.cfg.Logger.Warn("images are not listed", "error", err)
	}
	return o
}

// report writes the status where it has changed, and now and then anyway.
func (r *Registrar) report(ctx context.Context, node *corev1.Node, o *Observed) error {
	now := time.Now()
	want := nodeStatus(&node.Status, &r.cfg, o, now)
	if sameStatus(&want, &node.Status) && now.Sub(r.reported) < r.cfg.ReportEvery {
		return nil
	}
	update := node.DeepCopy()
	update.Status = want
	written, err := client.For[*corev1.Node](r.cfg.Client).UpdateStatus(ctx, update)
	if apierrors.IsConflict(err) {
		fresh, getErr := client.For[*corev1.Node](r.cfg.Client).Get(ctx, "", r.cfg.Name)
		if getErr != nil {
			return getErr
		}
		update = fresh.DeepCopy()
		update.Status = nodeStatus(&fresh.Status, &r.cfg, o, now)
		written, err = client.For[*corev1.Node](r.cfg.Client).UpdateStatus(ctx, update)
	}
	if err != nil {
		return err
	}
	r.tell(&node.Status, &want)
	r.reported = now
	r.keep(written)
	return nil
}

// sameStatus compares all but the heartbeats.
func sameStatus(a, b *corev1.NodeStatus) bool {
	x, y := a.DeepCopy(), b.DeepCopy()
	for i := range x.Conditions {
		x.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	for i := range y.Conditions {
		y.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	return equality.Semantic.DeepEqual(x, y)
}

// tell events of the conditions that have changed.
func (r *Registrar) tell(old, now *corev1.NodeStatus) {
	words := map[corev1.NodeConditionType][2]string{
		corev1.NodeReady:          {"NodeReady", "NodeNotReady"},
		corev1.NodeMemoryPressure: {"NodeHasInsufficientMemory", "NodeHasSufficientMemory"},
		corev1.NodeDiskPressure:   {"NodeHasDiskPressure", "NodeHasNoDiskPressure"},
		corev1.NodePIDPressure:    {"NodeHasInsufficientPID", "NodeHasSufficientPID"},
	}
	for _, c := range now.Conditions {
		pair, known := words[c.Type]
		if !known || conditionStatus(old, c.Type) == c.Status {
			continue
		}
		reason := pair[1]
		if c.Status == corev1.ConditionTrue {
			reason = pair[0]
		}
		r.cfg.Recorder.EventRef(r.reference(), corev1.EventTypeNormal, reason, "Node "+r.cfg.Name+" status is now: "+reason)
	}
}

func conditionStatus(s *corev1.NodeStatus, t corev1.NodeConditionType) corev1.ConditionStatus {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return s.Conditions[i].Status
		}
	}
	return corev1.ConditionUnknown
}

// Event tells an event of the node.
func (r *Registrar) Event(typ, reason, message string) {
	r.cfg.Recorder.EventRef(r.reference(), typ, reason, message)
}

// reference names the node in events; its uid is its name, as upstream's
// kubelet writes it, so that they are found before the Node exists.
func (r *Registrar) reference() corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: r.cfg.Name, UID: types.UID(r.cfg.Name)}
}
