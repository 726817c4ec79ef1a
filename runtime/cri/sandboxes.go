package cri

import (
	"context"
	"errors"
	"slices"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/sandbox"
)

// RunPodSandbox makes a sandbox.
func (s *Service) RunPodSandbox(_ context.Context, r *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	if h := r.GetRuntimeHandler(); !slices.Contains(s.Builtin, h) && !s.Handlers.Has(h) {
		return nil, toStatus(fault.New(fault.Invalid, "no runtime for %q is configured", h))
	}
	if r.GetConfig().GetMetadata() == nil {
		return nil, toStatus(fault.New(fault.Invalid, "sandbox has no metadata"))
	}
	sb, err := s.Sandboxes.Run(r.GetConfig(), r.GetRuntimeHandler())
	if err != nil {
		return nil, toStatus(err)
	}
	s.publishSandbox(cri.ContainerEventType_CONTAINER_CREATED_EVENT, sb)
	s.publishSandbox(cri.ContainerEventType_CONTAINER_STARTED_EVENT, sb)
	return &cri.RunPodSandboxResponse{PodSandboxId: sb.ID}, nil
}

// StopPodSandbox ends the containers of a sandbox and takes its network away.
func (s *Service) StopPodSandbox(ctx context.Context, r *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	sb, err := s.Sandboxes.Get(r.GetPodSandboxId())
	if fault.Is(err, fault.NotFound) {
		return &cri.StopPodSandboxResponse{}, nil
	}
	if err == nil {
		err = s.stopSandbox(ctx, sb)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.StopPodSandboxResponse{}, nil
}

func (s *Service) stopSandbox(ctx context.Context, sb *sandbox.Sandbox) error {
	if err := s.stopContainers(ctx, sb); err != nil {
		return err
	}
	was := sb.Ready()
	if err := s.Sandboxes.Stop(sb); err != nil {
		return err
	}
	// Those that were being started when the others were stopped. From here on none begins.
	if err := s.stopContainers(ctx, sb); err != nil {
		return err
	}
	if was {
		s.publishSandbox(cri.ContainerEventType_CONTAINER_STOPPED_EVENT, sb)
	}
	return nil
}

func (s *Service) stopContainers(ctx context.Context, sb *sandbox.Sandbox) error {
	containers := s.Containers.Of(sb.ID)
	errs := make(chan error, len(containers))
	for _, c := range containers {
		go func() { errs <- s.Containers.Stop(ctx, c, 0) }()
	}
	var all error
	for range containers {
		all = errors.Join(all, <-errs)
	}
	return all
}

// RemovePodSandbox removes a sandbox and its containers, forcibly.
func (s *Service) RemovePodSandbox(ctx context.Context, r *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	sb, err := s.Sandboxes.Get(r.GetPodSandboxId())
	if fault.Is(err, fault.NotFound) {
		return &cri.RemovePodSandboxResponse{}, nil
	}
	if err == nil {
		err = s.removeSandbox(ctx, sb)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &cri.RemovePodSandboxResponse{}, nil
}

func (s *Service) removeSandbox(ctx context.Context, sb *sandbox.Sandbox) error {
	if err := s.stopSandbox(ctx, sb); err != nil {
		return err
	}
	for _, c := range s.Containers.Of(sb.ID) {
		if err := s.Containers.Remove(ctx, c.Meta.ID); err != nil {
			return err
		}
	}
	if err := s.Sandboxes.Remove(sb); err != nil {
		return err
	}
	s.Containers.RemovePodCgroup(sb)
	s.publishSandbox(cri.ContainerEventType_CONTAINER_DELETED_EVENT, sb)
	return nil
}

func sandboxState(sb *sandbox.Sandbox) cri.PodSandboxState {
	if sb.Ready() {
		return cri.PodSandboxState_SANDBOX_READY
	}
	return cri.PodSandboxState_SANDBOX_NOTREADY
}

func sandboxStatus(sb *sandbox.Sandbox) *cri.PodSandboxStatus {
	out := &cri.PodSandboxStatus{
		Id: sb.ID, Metadata: sb.Config.GetMetadata(), State: sandboxState(sb), CreatedAt: sb.Created.UnixNano(),
		Network: &cri.PodSandboxNetworkStatus{}, Labels: sb.Config.GetLabels(), Annotations: sb.Config.GetAnnotations(),
		RuntimeHandler: sb.Handler,
		Linux:          &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: sb.Namespaces()}},
	}
	if ip := sb.IP(); ip.IsValid() {
		out.Network.Ip = ip.String()
	}
	return out
}

// PodSandboxStatus describes a sandbox.
func (s *Service) PodSandboxStatus(_ context.Context, r *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	sb, err := s.Sandboxes.Get(r.GetPodSandboxId())
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &cri.PodSandboxStatusResponse{Status: sandboxStatus(sb)}
	if r.GetVerbose() {
		if resp.Info, err = describeSandbox(sb); err != nil {
			return nil, toStatus(err)
		}
	}
	return resp, nil
}

// ListPodSandbox lists the sandboxes that match a filter.
func (s *Service) ListPodSandbox(_ context.Context, r *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	return &cri.ListPodSandboxResponse{Items: s.listSandboxes(r.GetFilter())}, nil
}

func (s *Service) listSandboxes(f *cri.PodSandboxFilter) []*cri.PodSandbox {
	var out []*cri.PodSandbox
	for _, sb := range s.Sandboxes.List() {
		item := &cri.PodSandbox{Id: sb.ID, Metadata: sb.Config.GetMetadata(), State: sandboxState(sb), CreatedAt: sb.Created.UnixNano(),
			Labels: sb.Config.GetLabels(), Annotations: sb.Config.GetAnnotations(), RuntimeHandler: sb.Handler}
		if matchID(item.Id, f.GetId()) && (f.GetState() == nil || item.State == f.GetState().GetState()) && matchLabels(item.Labels, f.GetLabelSelector()) {
			out = append(out, item)
		}
	}
	return out
}

// StreamPodSandboxes lists sandboxes as a stream.
func (s *Service) StreamPodSandboxes(r *cri.StreamPodSandboxesRequest, out cri.RuntimeService_StreamPodSandboxesServer) error {
	for _, item := range s.listSandboxes(r.GetFilter()) {
		if err := out.Send(&cri.StreamPodSandboxesResponse{PodSandboxes: []*cri.PodSandbox{item}}); err != nil {
			return err
		}
	}
	return nil
}
