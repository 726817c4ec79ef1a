package launch

import (
	"context"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/knarr-io/knarr/runtime/proc"
)

// merge sets in to what r names and leaves the rest.
func merge(to *cgroups.Resources, r *specs.LinuxResources) {
	if c := r.CPU; c != nil {
		set(&to.CpuShares, c.Shares)
		set(&to.CpuQuota, c.Quota)
		set(&to.CpuPeriod, c.Period)
		if c.Cpus != "" {
			to.CpusetCpus = c.Cpus
		}
		if c.Mems != "" {
			to.CpusetMems = c.Mems
		}
		if c.Shares != nil {
			to.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(*c.Shares)
		}
	}
	if m := r.Memory; m != nil {
		set(&to.Memory, m.Limit)
		set(&to.MemorySwap, m.Swap)
	}
	for k, v := range r.Unified {
		if to.Unified == nil {
			to.Unified = map[string]string{}
		}
		to.Unified[k] = v
	}
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

// killWait bounds the wait for a killed process.
const killWait = 10 * time.Second

// waitStopped waits for the end of a container that was killed, and reaps it if it is a child.
func waitStopped(c *libcontainer.Container) {
	state, err := c.State()
	if err != nil {
		return
	}
	id := proc.ID{PID: state.InitProcessPid, StartTime: state.InitProcessStartTime}
	h, err := id.Watch()
	if err != nil {
		return
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(context.Background(), killWait)
	defer cancel()
	if h.Wait(ctx) == nil {
		_, _ = h.Reap()
	}
}
