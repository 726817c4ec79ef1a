package plugins

import (
	"testing"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

func TestBalanceOfANode(t *testing.T) {
	cases := []struct {
		name              string
		usedCPU, usedMem  int64
		wantCPU, wantMem  int64
		allCPU, allMemory int64
		score             int64
	}{
		{"stays even", 0, 0, 10, 10, 100, 100, 75},
		{"gets better", 50, 0, 0, 50, 100, 100, 87},
		{"gets worse", 0, 0, 100, 0, 100, 100, 50},
		{"only memory is known", 0, 0, 10, 10, 0, 100, 75},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			node := &framework.Node{
				Allocatable: framework.Resource{MilliCPU: c.allCPU, Memory: c.allMemory},
				Requested:   framework.Resource{MilliCPU: c.usedCPU, Memory: c.usedMem},
			}
			pod := &framework.Pod{Usage: framework.Usage{Requests: framework.Resource{MilliCPU: c.wantCPU, Memory: c.wantMem}}}
			if got := (NodeResourcesBalanced{}).Score(nil, pod, node); got != c.score {
				t.Errorf("scored %d, want %d", got, c.score)
			}
		})
	}
}
