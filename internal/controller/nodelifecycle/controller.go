// Package nodelifecycle watches over nodes: it declares those unknown that
// stopped renewing their lease, keeps the taints that follow from a node's
// conditions, and marks the pods of a lost node as not ready.
//
// It writes a node's conditions only while the node is silent, the taints
// node.kubernetes.io/*, and the Ready condition of pods on lost nodes. Time
// is kept per node by one timer; a heartbeat costs a map entry.
//
// Lost nodes are emptied one by one, at a pace that depends on how much of
// their zone is lost. While no node of the cluster is ready nothing is evicted:
// then it is more likely that the control plane lost its network than that
// every node died.
package nodelifecycle

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/batch"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	nodes    client.Typed[*corev1.Node]
	pods     client.Typed[*corev1.Pod]
	nodeInf  *client.Informer[*corev1.Node]
	podInf   *client.Informer[*corev1.Pod]
	leaseInf *client.Informer[*coordinationv1.Lease]
	events   *record.Recorder
	loop     *reconcile.Controller[string]

	mu struct {
		sync.Mutex
		heard map[string]time.Time // when a node last gave a sign of life, by our clock
		pace  *pacer
	}
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		nodes: client.For[*corev1.Node](c), pods: client.For[*corev1.Pod](c),
		nodeInf: client.InformerFor[*corev1.Node](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		leaseInf: client.InformerWith[*coordinationv1.Lease](inf, client.Selection{}), events: events,
	}
	r.mu.heard, r.mu.pace = map[string]time.Time{}, newPacer()
	r.loop = reconcile.New("node-lifecycle", r.reconcile, opts)
	pods.IndexByNode(r.podInf)
	r.leaseInf.OnChange(r.leaseChanged)
	r.nodeInf.OnChange(r.nodeChanged)
	r.podInf.OnChange(r.podChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.nodeInf, r.podInf, r.leaseInf)
}

func (r *Controller) leaseChanged(old, new *coordinationv1.Lease) {
	if new == nil || new.Namespace != corev1.NamespaceNodeLease {
		return
	}
	if old == nil || !old.Spec.RenewTime.Equal(new.Spec.RenewTime) {
		r.hear(new.Name)
	}
}

func (r *Controller) nodeChanged(old, new *corev1.Node) {
	if new == nil {
		if r.forget(old.Name) {
			r.wakeAll()
		}
		return
	}
	if old == nil || !sameHeartbeat(old, new) {
		r.hear(new.Name)
	}
	if r.count(new) {
		r.wakeAll()
	}
	if old == nil || readiness(old) != readiness(new) || old.Spec.Unschedulable != new.Spec.Unschedulable ||
		!equality.Semantic.DeepEqual(old.Spec.Taints, new.Spec.Taints) || !sameStatuses(old, new) {
		r.loop.Enqueue(new.Name)
	}
}

// wakeAll looks at all nodes: eviction became faster, slower, or was stopped.
func (r *Controller) wakeAll() {
	for _, node := range r.nodeInf.List("", nil) {
		r.loop.Enqueue(node.Name)
	}
}

// sameHeartbeat tells whether the agent wrote nothing between two versions.
func sameHeartbeat(old, new *corev1.Node) bool {
	a, b := condition(old, corev1.NodeReady), condition(new, corev1.NodeReady)
	return a == nil && b == nil || a != nil && b != nil && a.LastHeartbeatTime.Equal(&b.LastHeartbeatTime)
}

func sameStatuses(old, new *corev1.Node) bool {
	if len(old.Status.Conditions) != len(new.Status.Conditions) {
		return false
	}
	for _, c := range new.Status.Conditions {
		if was := condition(old, c.Type); was == nil || was.Status != c.Status {
			return false
		}
	}
	return true
}

// podChanged marks a pod that a lost node is said to run ready.
func (r *Controller) podChanged(_, new *corev1.Pod) {
	if new == nil || new.Spec.NodeName == "" || !pods.Ready(new) {
		return
	}
	if node, ok := r.nodeInf.Get("", new.Spec.NodeName); ok && condition(node, corev1.NodeReady) != nil && readiness(node) == corev1.ConditionUnknown {
		r.loop.Enqueue(node.Name)
	}
}

func (r *Controller) hear(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.heard[name] = time.Now()
}

// count keeps the numbers of ready and lost nodes; it tells whether the pace
// of eviction changed.
func (r *Controller) count(node *corev1.Node) bool {
	zone := node.Labels[corev1.LabelTopologyRegion] + "/" + node.Labels[corev1.LabelTopologyZone]
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.pace.set(node.Name, zone, readiness(node) == corev1.ConditionTrue, time.Now())
}

// forget drops a node; it tells whether the pace of eviction changed.
func (r *Controller) forget(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.heard, name)
	return r.mu.pace.drop(name)
}

// lastHeard is when the node gave a sign of life.
func (r *Controller) lastHeard(name string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.heard[name]
}

// mayEvict tells whether the node's pods may be driven away now. One that is
// being emptied already stays so. wait is when to ask again.
func (r *Controller) mayEvict(node *corev1.Node, now time.Time) (ok bool, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.mu.pace.anyReady():
		return false, 0
	case readiness(node) == corev1.ConditionTrue || emptied(node) || condition(node, corev1.NodeReady) == nil:
		return true, 0
	}
	return r.mu.pace.take(node.Name, now)
}

func (r *Controller) reconcile(ctx context.Context, name string) (reconcile.Result, error) {
	node, ok := r.nodeInf.Get("", name)
	if !ok {
		return reconcile.Result{}, nil
	}
	now := time.Now()
	left := r.lastHeard(name).Add(grace(node)).Sub(now)
	if left <= 0 {
		if conditions, changed := silent(node, now); changed {
			return reconcile.Result{}, r.declareLost(ctx, node, conditions)
		}
	}
	evict, wait := r.mayEvict(node, now)
	if err := r.keepTaints(ctx, node, evict, now); err != nil {
		return reconcile.Result{}, err
	}
	if wait > 0 && (left <= 0 || wait < left) {
		left = wait
	}
	if readiness(node) != corev1.ConditionTrue && condition(node, corev1.NodeReady) != nil {
		if err := r.markPods(ctx, node); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{RequeueAfter: max(left, 0)}, nil
}

// declareLost writes that nobody knows how the node is.
func (r *Controller) declareLost(ctx context.Context, node *corev1.Node, conditions []corev1.NodeCondition) error {
	changed := node.DeepCopy()
	changed.Status.Conditions = conditions
	if readiness(node) == corev1.ConditionTrue {
		r.events.Eventf(node, corev1.EventTypeNormal, "NodeNotReady", "Node %s status is now: %s", node.Name, "NodeNotReady")
	}
	_, err := r.nodes.UpdateStatus(ctx, changed)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (r *Controller) keepTaints(ctx context.Context, node *corev1.Node, evict bool, now time.Time) error {
	list, changed := taints(node, evict, now)
	if !changed {
		return nil
	}
	if list == nil {
		list = []corev1.Taint{}
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": node.ResourceVersion},
		"spec":     map[string]any{"taints": list},
	})
	if err != nil {
		return fmt.Errorf("encoding the taints: %w", err)
	}
	_, err = r.nodes.Patch(ctx, "", node.Name, types.MergePatchType, patch)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// markPods takes the pods of a node that is not ready out of service.
func (r *Controller) markPods(ctx context.Context, node *corev1.Node) error {
	list := r.podInf.ByIndex(pods.ByNode, node.Name)
	return batch.All(len(list), func(i int) error {
		if !pods.Ready(list[i]) {
			return nil
		}
		changed := list[i].DeepCopy()
		c := pods.Condition(changed, corev1.PodReady)
		c.Status, c.LastTransitionTime = corev1.ConditionFalse, metav1.Now()
		r.events.Event(list[i], corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
		_, err := r.pods.UpdateStatus(ctx, changed)
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil // gone, or its change will bring us back
		}
		return err
	})
}
