package cri

import (
	"testing"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits that are given take the place of those before; the others stay.
func TestLimitsAreReplaced(t *testing.T) {
	pages := func(n uint64) []*cri.HugepageLimit { return []*cri.HugepageLimit{{PageSize: "2MB", Limit: n}} }
	now := &cri.LinuxContainerResources{CpuShares: 100, MemoryLimitInBytes: 64 << 20, HugepageLimits: pages(1 << 20), Unified: map[string]string{"a": "1"}}
	for _, c := range []struct{ given, want *cri.LinuxContainerResources }{
		{nil, now},
		{&cri.LinuxContainerResources{CpuShares: 200}, &cri.LinuxContainerResources{CpuShares: 200, MemoryLimitInBytes: 64 << 20, HugepageLimits: pages(1 << 20), Unified: map[string]string{"a": "1"}}},
		{&cri.LinuxContainerResources{HugepageLimits: pages(2 << 20), Unified: map[string]string{"b": "2"}},
			&cri.LinuxContainerResources{CpuShares: 100, MemoryLimitInBytes: 64 << 20, HugepageLimits: pages(2 << 20), Unified: map[string]string{"a": "1", "b": "2"}}},
	} {
		if got := mergeResources(now, c.given); !proto.Equal(got, c.want) {
			t.Errorf("given %v: got %v, want %v", c.given, got, c.want)
		}
	}
	if got := mergeResources(nil, now); !proto.Equal(got, now) {
		t.Errorf("got %v, want %v", got, now)
	}
}
