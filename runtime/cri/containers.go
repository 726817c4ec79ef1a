package cri

import (
	"context"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/spec"
)

// CreateContainer makes a container in a sandbox.
func (s *Service) CreateContainer(ctx context.Context, r *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	if r.GetConfig().GetMetadata() == nil {
		return nil, toStatus(fault.New(fault.Invalid, "container has no metadata"))
	}
	sb, err := s.Sandboxes.Get(r.GetPodSandboxId())
	if err != nil {
		return nil, toStatus(err)
	}
	c, err := s.Containers.Create(ctx, sb, r.GetConfig())
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.CreateContainerResponse{ContainerId: c.Meta.ID}, nil
}

// StartContainer runs a created container.
func (s *Service) StartContainer(ctx context.Context, r *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	if err := s.Containers.Start(ctx, r.GetContainerId()); err != nil {
		return nil, toStatus(err)
	}
	return &cri.StartContainerResponse{}, nil
}

// StopContainer asks a container to end, and kills it after the time-out.
func (s *Service) StopContainer(ctx context.Context, r *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	c, err := s.Containers.Get(r.GetContainerId())
	if fault.Is(err, fault.NotFound) {
		return &cri.StopContainerResponse{}, nil
	}
	if err == nil {
		err = s.Containers.Stop(ctx, c, seconds(r.GetTimeout()))
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.StopContainerResponse{}, nil
}

// RemoveContainer removes a container, forcibly.
func (s *Service) RemoveContainer(ctx context.Context, r *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	if err := s.Containers.Remove(ctx, r.GetContainerId()); err != nil {
		return nil, toStatus(err)
	}
	return &cri.RemoveContainerResponse{}, nil
}

// ListContainers lists the containers that match a filter.
func (s *Service) ListContainers(_ context.Context, r *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	return &cri.ListContainersResponse{Containers: s.listContainers(r.GetFilter())}, nil
}

func (s *Service) listContainers(f *cri.ContainerFilter) []*cri.Container {
	var out []*cri.Container
	for _, c := range s.Containers.List() {
		item := &cri.Container{Id: c.Meta.ID, PodSandboxId: c.Meta.SandboxID, Metadata: c.Config.GetMetadata(),
			Image: c.Config.GetImage(), ImageRef: c.Meta.ImageRef, ImageId: c.Meta.ImageID, State: c.State(),
			CreatedAt: c.Meta.Created.UnixNano(), Labels: c.Config.GetLabels(), Annotations: c.Config.GetAnnotations()}
		if matchID(item.Id, f.GetId()) && matchID(item.PodSandboxId, f.GetPodSandboxId()) &&
			(f.GetState() == nil || item.State == f.GetState().GetState()) && matchLabels(item.Labels, f.GetLabelSelector()) {
			out = append(out, item)
		}
	}
	return out
}

// StreamContainers lists containers as a stream.
func (s *Service) StreamContainers(r *cri.StreamContainersRequest, out cri.RuntimeService_StreamContainersServer) error {
	for _, item := range s.listContainers(r.GetFilter()) {
		if err := out.Send(&cri.StreamContainersResponse{Containers: []*cri.Container{item}}); err != nil {
			return err
		}
	}
	return nil
}

// ContainerStatus describes a container.
func (s *Service) ContainerStatus(_ context.Context, r *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	c, err := s.Containers.Get(r.GetContainerId())
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &cri.ContainerStatusResponse{Status: containerStatus(c)}
	if r.GetVerbose() {
		if resp.Info, err = s.containerInfo(c); err != nil {
			return nil, toStatus(err)
		}
	}
	return resp, nil
}

func containerStatus(c *container.Container) *cri.ContainerStatus {
	st, groups := c.Status(), make([]int64, len(c.Meta.User.Groups))
	for i, g := range c.Meta.User.Groups {
		groups[i] = int64(g)
	}
	out := &cri.ContainerStatus{
		Id: c.Meta.ID, Metadata: c.Config.GetMetadata(), State: st.State, CreatedAt: c.Meta.Created.UnixNano(),
		Image: c.Config.GetImage(), ImageRef: c.Meta.ImageRef, ImageId: c.Meta.ImageID,
		Labels: c.Config.GetLabels(), Annotations: c.Config.GetAnnotations(), Mounts: c.Config.GetMounts(), LogPath: c.Meta.LogPath,
		Resources:  &cri.ContainerResources{Linux: resources(c, st)},
		User:       &cri.ContainerUser{Linux: &cri.LinuxContainerUser{Uid: int64(c.Meta.User.UID), Gid: int64(c.Meta.User.GID), SupplementalGroups: groups}},
		StopSignal: c.Config.GetStopSignal(),
	}
	if st.State != cri.ContainerState_CONTAINER_CREATED {
		out.StartedAt = st.Started.UnixNano()
	}
	if st.State == cri.ContainerState_CONTAINER_EXITED {
		out.FinishedAt = st.Finished.UnixNano()
		out.ExitCode, out.Reason, out.Message = int32(st.ExitCode), st.Reason, st.Message
	}
	return out
}

// resources are the container's limits as last set.
func resources(c *container.Container, st container.Status) *cri.LinuxContainerResources {
	if len(st.Resources) == 0 {
		return c.Config.GetLinux().GetResources()
	}
	out := &cri.LinuxContainerResources{}
	if proto.Unmarshal(st.Resources, out) != nil {
		return c.Config.GetLinux().GetResources()
	}
	return out
}

// mergeResources are the limits now with those changed that are given.
func mergeResources(now, given *cri.LinuxContainerResources) *cri.LinuxContainerResources {
	merged := &cri.LinuxContainerResources{}
	proto.Merge(merged, now)
	if len(given.GetHugepageLimits()) > 0 {
		merged.HugepageLimits = nil // else they would be added to the former ones
	}
	proto.Merge(merged, given)
	return merged
}

// UpdateContainerResources changes a container's limits.
func (s *Service) UpdateContainerResources(_ context.Context, r *cri.UpdateContainerResourcesRequest) (*cri.UpdateContainerResourcesResponse, error) {
	c, err := s.Containers.Get(r.GetContainerId())
	if err != nil {
		return nil, toStatus(err)
	}
	merged := mergeResources(resources(c, c.Status()), r.GetLinux())
	encoded, err := proto.Marshal(merged)
	if err == nil {
		err = s.Containers.Update(c, spec.Resources(merged, s.Host), encoded)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.UpdateContainerResourcesResponse{}, nil
}

// ReopenContainerLog goes on in a new log file after a rotation.
func (s *Service) ReopenContainerLog(_ context.Context, r *cri.ReopenContainerLogRequest) (*cri.ReopenContainerLogResponse, error) {
	if err := s.Containers.Reopen(r.GetContainerId()); err != nil {
		return nil, toStatus(err)
	}
	return &cri.ReopenContainerLogResponse{}, nil
}
