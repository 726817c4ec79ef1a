package simulated

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A fleet that begins gives no pod an address that another has since before.
func TestAddressesOfAnEarlierFleet(t *testing.T) {
	n := &node{name: "n"}
	f := &Fleet{nodes: map[string]*node{"n": n}}
	on := func(address string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{PodIP: address, Phase: phase}}
	}
	first, second := on("100.64.0.1", corev1.PodRunning), on("100.64.0.2", corev1.PodRunning)
	f.addressesChanged(nil, first)
	f.addressesChanged(nil, second)
	f.addressesChanged(nil, on("198.18.0.1", corev1.PodRunning)) // the node's own
	if got := n.nextPodAddress().String(); got != "100.64.0.3" {
		t.Errorf("the next is %s", got)
	}
	f.addressesChanged(first, nil)
	f.addressesChanged(second, on("100.64.0.2", corev1.PodSucceeded))
	for i := 3; i < podsOfNode-2; i++ {
		n.nextPodAddress()
	}
	for _, want := range []string{"100.64.0.1", "100.64.0.2"} {
		if got := n.nextPodAddress().String(); got != want {
			t.Errorf("then %s, want %s", got, want)
		}
	}
	for i := range n.mu.held {
		n.mu.held[i] = true
	}
	if got := n.nextPodAddress(); !n.podRange().Contains(got) {
		t.Errorf("where all are held: %s", got)
	}
}
