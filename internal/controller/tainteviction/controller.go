// Package tainteviction deletes pods from nodes whose NoExecute taints they
// do not tolerate, or no longer tolerate once their tolerationSeconds are
// over. It writes the pods' DisruptionTarget condition and deletes them.
package tainteviction

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/disrupt"
	"github.com/knarr-io/knarr/internal/controller/internal/pods"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	pods    client.Typed[*corev1.Pod]
	podInf  *client.Informer[*corev1.Pod]
	nodeInf *client.Informer[*corev1.Node]
	events  *record.Recorder
	loop    *reconcile.Controller[reconcile.Key]

	mu struct {
		sync.Mutex
		since map[reconcile.Key]sighting // pods that are to go later
	}
}

// sighting is when a pod's eviction was first seen to be due some time.
type sighting struct {
	uid types.UID
	at  time.Time
	// waits is set once the pod is to go later.
	waits bool
}

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		pods: client.For[*corev1.Pod](c), podInf: client.InformerFor[*corev1.Pod](inf),
		nodeInf: client.InformerFor[*corev1.Node](inf), events: events,
	}
	r.mu.since = map[reconcile.Key]sighting{}
	r.loop = reconcile.New("taint-eviction", r.reconcile, opts)
	pods.IndexByNode(r.podInf)
	r.nodeInf.OnChange(r.nodeChanged)
	r.podInf.OnChange(r.podChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.nodeInf, r.podInf)
}

func (r *Controller) nodeChanged(old, new *corev1.Node) {
	if new == nil || len(noExecute(new)) == 0 && (old == nil || len(noExecute(old)) == 0) {
		return
	}
	if old != nil && equality.Semantic.DeepEqual(noExecute(old), noExecute(new)) {
		return
	}
	for _, pod := range r.podInf.ByIndex(pods.ByNode, new.Name) {
		r.loop.Enqueue(reconcile.Key{Namespace: pod.Namespace, Name: pod.Name})
	}
}

// podChanged looks at pods that arrive on a tainted node, or whose
// tolerations changed there.
func (r *Controller) podChanged(old, new *corev1.Pod) {
	if new == nil {
		r.forget(reconcile.Key{Namespace: old.Namespace, Name: old.Name})
		return
	}
	if new.Spec.NodeName == "" || new.DeletionTimestamp != nil {
		return
	}
	if old != nil && old.Spec.NodeName == new.Spec.NodeName && len(old.Spec.Tolerations) == len(new.Spec.Tolerations) {
		return
	}
	if node, ok := r.nodeInf.Get("", new.Spec.NodeName); ok && len(noExecute(node)) > 0 {
		r.loop.Enqueue(reconcile.Key{Namespace: new.Namespace, Name: new.Name})
	}
}

// firstSeen is since when the pod's tolerations run, where its node's taints
// do not say it themselves.
func (r *Controller) firstSeen(key reconcile.Key, uid types.UID, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.mu.since[key]; ok && s.uid == uid {
		return s.at
	}
	r.mu.since[key] = sighting{uid: uid, at: now}
	return now
}

// waits notes that the pod is to go later.
func (r *Controller) waits(key reconcile.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.mu.since[key]; ok {
		s.waits = true
		r.mu.since[key] = s
	}
}

// forget tells whether the pod was to go later.
func (r *Controller) forget(key reconcile.Key) (waited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waited = r.mu.since[key].waits
	delete(r.mu.since, key)
	return waited
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, ok := r.podInf.Get(key.Namespace, key.Name)
	if !ok || pod.DeletionTimestamp != nil {
		r.forget(key)
		return reconcile.Result{}, nil
	}
	node, ok := r.nodeInf.Get("", pod.Spec.NodeName)
	if !ok {
		r.forget(key)
		return reconcile.Result{}, nil
	}
	now := time.Now()
	at, evict := due(pod, noExecute(node), r.firstSeen(key, pod.UID, now))
	if !evict {
		if r.forget(key) {
			r.events.Eventf(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Cancelling deletion of Pod %s/%s", pod.Namespace, pod.Name)
		}
		return reconcile.Result{}, nil
	}
	if left := at.Sub(now); left > 0 {
		r.waits(key)
		return reconcile.Result{RequeueAfter: left}, nil
	}
	r.events.Eventf(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod %s/%s", pod.Namespace, pod.Name)
	if err := disrupt.Mark(ctx, r.pods, pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", false); err != nil {
		return reconcile.Result{}, err
	}
	err := r.pods.Delete(ctx, pod.Namespace, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}
