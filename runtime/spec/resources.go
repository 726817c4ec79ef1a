package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Resources translates limits. Zero means that a limit is not set.
func Resources(r *cri.LinuxContainerResources, host Host) *specs.LinuxResources {
	out := &specs.LinuxResources{}
	if r == nil {
		return out
	}
	out.CPU = cpu(r)
	out.Memory = memory(r)
	for _, h := range r.GetHugepageLimits() {
		out.HugepageLimits = append(out.HugepageLimits, specs.LinuxHugepageLimit{Pagesize: h.GetPageSize(), Limit: h.GetLimit()})
	}
	if host.Cgroup2 && len(r.GetUnified()) > 0 {
		out.Unified = r.GetUnified()
	}
	return out
}

func cpu(r *cri.LinuxContainerResources) *specs.LinuxCPU {
	c := &specs.LinuxCPU{Cpus: r.GetCpusetCpus(), Mems: r.GetCpusetMems()}
	if v := r.GetCpuShares(); v > 0 {
		c.Shares = ptr(uint64(v))
	}
	if v := r.GetCpuPeriod(); v > 0 {
		c.Period = ptr(uint64(v))
	}
	if v := r.GetCpuQuota(); v != 0 {
		c.Quota = ptr(v)
	}
	return c
}

func memory(r *cri.LinuxContainerResources) *specs.LinuxMemory {
	m := &specs.LinuxMemory{}
	if v := r.GetMemoryLimitInBytes(); v != 0 {
		m.Limit = ptr(v)
	}
	if v := r.GetMemorySwapLimitInBytes(); v != 0 {
		m.Swap = ptr(v)
	}
	return m
}

func ptr[T any](v T) *T { return &v }
