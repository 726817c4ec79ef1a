package simnode

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/reconcile"
)

// HoldAnnotation on a pod keeps it from becoming ready, for tests.
const HoldAnnotation = "simulated.knarr.io/not-ready"

// pending tells whether the node has something to do for the pod.
func pending(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return true
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	return pod.Status.Phase != corev1.PodRunning || isReady(pod) == held(pod)
}

func held(pod *corev1.Pod) bool { return pod.Annotations[HoldAnnotation] != "" }

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (f *Fleet) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, ok := f.pods.Get(key.Namespace, key.Name)
	if !ok || !pending(pod) {
		return reconcile.Result{}, nil
	}
	n := f.nodes[pod.Spec.NodeName]
	if n == nil || f.isSilent(n.name) {
		return reconcile.Result{}, nil
	}
	var err error
	if pod.DeletionTimestamp != nil {
		now := int64(0)
		err = n.pods.Delete(ctx, pod.Namespace, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
		})
	} else {
		_, err = n.pods.UpdateStatus(ctx, n.started(pod))
	}
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}

// started is the pod as it is once its containers run.
func (n *node) started(pod *corev1.Pod) *corev1.Pod {
	out := pod.DeepCopy()
	now := metav1.Now()
	ready := corev1.ConditionTrue
	if held(pod) {
		ready = corev1.ConditionFalse
	}
	s := &out.Status
	s.Phase = corev1.PodRunning
	if s.StartTime == nil {
		s.StartTime = &now
	}
	if s.PodIP == "" {
		s.PodIP = n.address()
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	}
	s.ObservedGeneration = pod.Generation
	for _, typ := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized} {
		set(s, typ, corev1.ConditionTrue, now, pod.Generation)
	}
	set(s, corev1.ContainersReady, ready, now, pod.Generation)
	set(s, corev1.PodReady, ready, now, pod.Generation)
	s.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		yes, isReady := true, ready == corev1.ConditionTrue
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image, Ready: isReady, Started: &yes,
			ContainerID: "simulated://" + string(pod.UID) + "/" + c.Name,
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	return out
}

func set(s *corev1.PodStatus, typ corev1.PodConditionType, status corev1.ConditionStatus, now metav1.Time, generation int64) {
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if c.Type != typ {
			continue
		}
		if c.Status != status {
			c.Status, c.LastTransitionTime = status, now
		}
		c.ObservedGeneration = generation
		return
	}
	s.Conditions = append(s.Conditions, corev1.PodCondition{Type: typ, Status: status, LastTransitionTime: now, ObservedGeneration: generation})
}

// address gives the next address of the node's part of a made-up network.
func (n *node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := n.mu.addresses
	n.mu.addresses++
	if n.index < 1<<14 {
		return netip.AddrFrom4([4]byte{10, byte(128 + n.index>>8&0x3f), byte(n.index), byte(i%250 + 1)}).String()
	}
	return fmt.Sprintf("10.192.%d.%d", n.index%256, i%250+1)
}
