package node

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/nodeconfig"
)

func TestShutdownGroups(t *testing.T) {
	pod := func(name string, priority int32) *corev1.Pod {
		p := &corev1.Pod{}
		p.Name, p.Spec.Priority = name, &priority
		return p
	}
	over := pod("over", 0)
	over.Status.Phase = corev1.PodSucceeded
	plain := pod("plain", 0)
	plain.Spec.Priority = nil
	pods := []*corev1.Pod{pod("system", 2_000_000_000), plain, pod("low", -5), over, pod("high", 1000), pod("node", 2_000_001_000)}
	cases := []struct {
		name   string
		graces []nodeconfig.ShutdownGrace
		want   string
	}{
		{"two periods", []nodeconfig.ShutdownGrace{{Priority: math.MinInt32, Grace: 20 * time.Second}, {Priority: 2_000_000_000, Grace: 10 * time.Second}},
			"plain low high | system node"},
		{"by priority", []nodeconfig.ShutdownGrace{{Priority: 0}, {Priority: 1000}, {Priority: 10_000}, {Priority: 2_000_001_000}},
			"plain low | high | system | node"},
		{"one", []nodeconfig.ShutdownGrace{{Priority: 5000}}, "system plain low high node"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var groups []string
			for _, g := range shutdownGroups(pods, tc.graces) {
				var names []string
				for _, p := range g.pods {
					names = append(names, p.Name)
				}
				groups = append(groups, strings.Join(names, " "))
			}
			if diff := cmp.Diff(tc.want, strings.Join(groups, " | ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A pod that has ended is not told to be late because another one is.
func TestEndsIn(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan struct{})
	if endsIn(over, ended) {
		t.Error("a pod that runs has ended")
	}
	close(ended)
	for range 100 { // of two that are ready a select takes either
		if !endsIn(over, ended) {
			t.Fatal("a pod that has ended is late")
		}
	}
}
