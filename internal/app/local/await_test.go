package local

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestUnready(t *testing.T) {
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue}
	starting := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "the runtime is starting"}
	taint := func(key string) []corev1.Taint {
		return []corev1.Taint{{Key: key, Effect: corev1.TaintEffectNoSchedule}}
	}
	for _, tt := range []struct {
		name       string
		taints     []corev1.Taint
		conditions []corev1.NodeCondition
		want       string
	}{
		{"new", nil, nil, "it has not told its state"},
		{"starting", nil, []corev1.NodeCondition{starting}, "the runtime is starting"},
		{"tainted still", taint(corev1.TaintNodeNotReady), []corev1.NodeCondition{ready}, "it has the taint node.kubernetes.io/not-ready:NoSchedule"},
		{"ready", nil, []corev1.NodeCondition{ready}, ""},
		{"kept for some pods", taint("example.com/gpu"), []corev1.NodeCondition{ready}, ""},
		{"short of disk", taint(corev1.TaintNodeDiskPressure), []corev1.NodeCondition{ready}, ""},
	} {
		n := &corev1.Node{Spec: corev1.NodeSpec{Taints: tt.taints}, Status: corev1.NodeStatus{Conditions: tt.conditions}}
		if got := unready(n, time.Time{}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
