package simulated

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/reconcile"
)

// reconcile brings one pod a step on.
func (f *Fleet) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, ok := f.pods.Get(key.Namespace, key.Name)
	if !ok || !f.rules.pending(pod) {
		return reconcile.Result{}, nil
	}
	n := f.nodes[pod.Spec.NodeName]
	if n == nil || f.isSilent(n.name) {
		return reconcile.Result{}, nil
	}
	if pod.DeletionTimestamp != nil {
		return reconcile.Result{}, ignoreNotFound(n.remove(ctx, pod))
	}
	now := time.Now()
	if wait := f.due(pod).Sub(now); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	out := pod.DeepCopy()
	if out.Status.PodIP == "" {
		out.Status.PodIP = n.addressFor(pod)
	}
	f.rules.play(out, n.address().String(), metav1.NewTime(now))
	_, err := n.pods.UpdateStatus(ctx, out)
	return reconcile.Result{}, ignoreNotFound(err)
}

// due is when the pod's next step is to be taken; zero: now.
func (f *Fleet) due(pod *corev1.Pod) time.Time {
	switch {
	case pod.Status.Phase == corev1.PodRunning:
		if d, ends := f.rules.lifetime(pod); ends {
			return startOf(pod).Add(d)
		}
	case f.config.Delay > 0:
		return boundAt(pod).Add(f.config.Delay)
	}
	return time.Time{}
}

func (n *node) addressFor(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return n.address().String()
	}
	return n.nextPodAddress().String()
}

func (n *node) remove(ctx context.Context, pod *corev1.Pod) error {
	now := int64(0)
	return n.pods.Delete(ctx, pod.Namespace, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
