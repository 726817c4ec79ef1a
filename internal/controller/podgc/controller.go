// Package podgc removes pods that nobody else will: those of nodes that no
// longer exist, those being deleted on nodes that are out of service
// (KEP-2268), those deleted before they had a node, and finished ones beyond a
// bound. It writes the reason on the pod and deletes it at once.
package podgc

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/disrupt"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/reconcile"
)

const (
	// quarantine is how long a node must be gone before its pods go.
	quarantine = 40 * time.Second
	// mostFinished is how many finished pods are kept, as upstream's default.
	mostFinished = 12500
)

// Controller runs the loop. Make it with New.
type Controller struct {
	pods    client.Typed[*corev1.Pod]
	nodes   client.Typed[*corev1.Node]
	podInf  *client.Informer[*corev1.Pod]
	nodeInf *client.Informer[*corev1.Node]
	loop    *reconcile.Controller[reconcile.Key]

	mu struct {
		sync.Mutex
		finished map[reconcile.Key]time.Time // creation, by pod
		missing  map[string]time.Time        // since when a node is not there
	}
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	r := &Controller{
		pods: client.For[*corev1.Pod](c), nodes: client.For[*corev1.Node](c),
		podInf: client.InformerFor[*corev1.Pod](inf), nodeInf: client.InformerFor[*corev1.Node](inf),
	}
	r.mu.finished, r.mu.missing = map[reconcile.Key]time.Time{}, map[string]time.Time{}
	r.loop = reconcile.New("pod-gc", r.reconcile, opts)
	pods.IndexByNode(r.podInf)
	r.podInf.OnChange(r.podChanged)
	r.nodeInf.OnChange(r.nodeChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	if r.nodeInf.WaitSynced(ctx) != nil || r.podInf.WaitSynced(ctx) != nil {
		return
	}
	for _, pod := range r.podInf.List("", nil) { // those found at the start
		if pod.Spec.NodeName != "" && (!r.nodeThere(pod.Spec.NodeName) || r.stranded(pod)) {
			r.loop.Enqueue(own.KeyOf(pod))
		}
	}
	r.loop.Run(ctx)
}

func (r *Controller) podChanged(old, new *corev1.Pod) {
	if new == nil {
		r.trackFinished(own.KeyOf(old), nil)
		return
	}
	if pods.Finished(new) {
		r.trackFinished(own.KeyOf(new), new)
	}
	if new.DeletionTimestamp != nil && new.Spec.NodeName == "" {
		r.loop.Enqueue(own.KeyOf(new))
		return
	}
	if r.nodeInf.HasSynced() && r.stranded(new) {
		r.loop.Enqueue(own.KeyOf(new))
		return
	}
	if new.Spec.NodeName != "" && (old == nil || old.Spec.NodeName == "") && r.nodeInf.HasSynced() && !r.nodeThere(new.Spec.NodeName) {
		r.loop.Enqueue(own.KeyOf(new))
	}
}

func (r *Controller) nodeChanged(old, new *corev1.Node) {
	if new == nil {
		for _, pod := range r.podInf.ByIndex(pods.ByNode, old.Name) {
			r.loop.Enqueue(own.KeyOf(pod))
		}
		return
	}
	if abandoned(new) && (old == nil || !abandoned(old)) {
		for _, pod := range r.podInf.ByIndex(pods.ByNode, new.Name) {
			if pod.DeletionTimestamp != nil {
				r.loop.Enqueue(own.KeyOf(pod))
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.missing, new.Name)
}

// abandoned tells whether somebody vouches that nothing runs on a node any
// more: its taint says so, and it is not ready.
func abandoned(n *corev1.Node) bool {
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return !ready && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}

// stranded tells of a pod that is being deleted and whose node will not
// confirm it.
func (r *Controller) stranded(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp == nil {
		return false
	}
	node, ok := r.nodeInf.Get("", pod.Spec.NodeName)
	return ok && abandoned(node)
}

// trackFinished counts finished pods and enqueues the oldest beyond the bound.
func (r *Controller) trackFinished(key reconcile.Key, pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pod == nil {
		delete(r.mu.finished, key)
		return
	}
	r.mu.finished[key] = pod.CreationTimestamp.Time
	if len(r.mu.finished) <= mostFinished {
		return
	}
	oldest := key
	for k, at := range r.mu.finished {
		if at.Before(r.mu.finished[oldest]) {
			oldest = k
		}
	}
	delete(r.mu.finished, oldest)
	r.loop.Enqueue(oldest)
}

func (r *Controller) nodeThere(name string) bool {
	_, ok := r.nodeInf.Get("", name)
	return ok
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, ok := r.podInf.Get(key.Namespace, key.Name)
	if !ok {
		return reconcile.Result{}, nil
	}
	switch {
	case pod.Spec.NodeName == "" && pod.DeletionTimestamp != nil:
		return reconcile.Result{}, r.end(ctx, pod)
	case pod.Spec.NodeName != "" && !r.nodeThere(pod.Spec.NodeName):
		return r.orphaned(ctx, pod)
	case r.stranded(pod):
		return reconcile.Result{}, r.end(ctx, pod)
	case pods.Finished(pod) && r.surplus(key):
		return reconcile.Result{}, r.remove(ctx, pod, "")
	}
	return reconcile.Result{}, nil
}

// end removes a pod that is being deleted and that no node ends. A finalizer
// may keep it, for somebody who waits for its last phase: so it has one.
func (r *Controller) end(ctx context.Context, pod *corev1.Pod) error {
	if err := disrupt.Fail(ctx, r.pods, pod); err != nil {
		return err
	}
	return r.remove(ctx, pod, "")
}

// surplus tells whether a finished pod was chosen to go.
func (r *Controller) surplus(key reconcile.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, kept := r.mu.finished[key]
	return !kept && len(r.mu.finished) >= mostFinished
}

// orphaned removes a pod once its node has been gone for the quarantine and
// the server confirms that.
func (r *Controller) orphaned(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	left := r.missingFor(pod.Spec.NodeName)
	if left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	_, err := r.nodes.Get(ctx, "", pod.Spec.NodeName)
	if err == nil {
		return reconcile.Result{}, nil
	}
	if !apierrors.IsNotFound(err) {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, r.remove(ctx, pod, "PodGC: node no longer exists")
}

// missingFor is what is left of a node's quarantine.
func (r *Controller) missingFor(name string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	since, ok := r.mu.missing[name]
	if !ok {
		since = time.Now()
		r.mu.missing[name] = since
	}
	return time.Until(since.Add(quarantine))
}

// remove deletes a pod at once. why, where given, is shown on the pod.
func (r *Controller) remove(ctx context.Context, pod *corev1.Pod, why string) error {
	if why != "" {
		if err := disrupt.Mark(ctx, r.pods, pod, "DeletionByPodGC", why, true); err != nil {
			return err
		}
	}
	now := int64(0)
	err := r.pods.Delete(ctx, pod.Namespace, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
