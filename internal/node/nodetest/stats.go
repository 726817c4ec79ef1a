package nodetest

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Use sets what the containers of that name take: memory (working set) and
// their writable layers, in bytes.
func (r *Runtime) Use(name string, memory, written uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.memory[name], r.mu.written[name] = memory, written
}

func number(n uint64) *runtimeapi.UInt64Value { return &runtimeapi.UInt64Value{Value: n} }

// ListContainerStats tells of running containers.
func (r *Runtime) ListContainerStats(context.Context, *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &runtimeapi.ListContainerStatsResponse{}
	for _, c := range r.mu.containers {
		if c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			out.Stats = append(out.Stats, r.statsLocked(c))
		}
	}
	return out, nil
}

func (r *Runtime) statsLocked(c *container) *runtimeapi.ContainerStats {
	name := c.status.Metadata.GetName()
	return &runtimeapi.ContainerStats{
		Attributes:    &runtimeapi.ContainerAttributes{Id: c.status.Id, Metadata: c.status.Metadata, Labels: c.status.Labels},
		Memory:        &runtimeapi.MemoryUsage{WorkingSetBytes: number(r.mu.memory[name])},
		WritableLayer: &runtimeapi.FilesystemUsage{UsedBytes: number(r.mu.written[name])},
	}
}

// ListPodSandboxStats tells of sandboxes that are up.
func (r *Runtime) ListPodSandboxStats(context.Context, *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &runtimeapi.ListPodSandboxStatsResponse{}
	for id, s := range r.mu.sandboxes {
		if s.status.State != runtimeapi.PodSandboxState_SANDBOX_READY {
			continue
		}
		linux, sum := &runtimeapi.LinuxPodSandboxStats{}, uint64(0)
		for _, c := range r.mu.containers {
			if c.sandbox == id && c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
				linux.Containers = append(linux.Containers, r.statsLocked(c))
				sum += r.mu.memory[c.status.Metadata.GetName()]
			}
		}
		linux.Memory = &runtimeapi.MemoryUsage{WorkingSetBytes: number(sum)}
		linux.Process = &runtimeapi.ProcessUsage{ProcessCount: number(uint64(len(linux.Containers)))}
		out.Stats = append(out.Stats, &runtimeapi.PodSandboxStats{
			Attributes: &runtimeapi.PodSandboxAttributes{Id: id, Metadata: s.status.Metadata, Labels: s.status.Labels}, Linux: linux,
		})
	}
	return out, nil
}

// ContainerStats tells of one container.
func (r *Runtime) ContainerStats(_ context.Context, req *runtimeapi.ContainerStatsRequest) (*runtimeapi.ContainerStatsResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.mu.containers[req.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "no container %q", req.GetContainerId())
	}
	return &runtimeapi.ContainerStatsResponse{Stats: r.statsLocked(c)}, nil
}

// UpdateContainerResources takes everything, unless a fault says otherwise.
func (r *Runtime) UpdateContainerResources(_ context.Context, req *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &runtimeapi.UpdateContainerResourcesResponse{}, r.beginLocked("UpdateContainerResources", req.GetContainerId())
}
