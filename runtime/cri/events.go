package cri

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/sandbox"
)

// Publish tells followers that a container changed.
func (s *Service) Publish(kind cri.ContainerEventType, c *container.Container) {
	if sb, err := s.Sandboxes.Get(c.Meta.SandboxID); err == nil {
		s.publish(kind, c.Meta.ID, sb)
	}
}

// SandboxEnded tells followers that a sandbox became not ready by itself.
func (s *Service) SandboxEnded(sb *sandbox.Sandbox) {
	s.publishSandbox(cri.ContainerEventType_CONTAINER_STOPPED_EVENT, sb)
}

// publishSandbox tells them that a sandbox changed; it passes for a container of the same ID.
func (s *Service) publishSandbox(kind cri.ContainerEventType, sb *sandbox.Sandbox) {
	s.publish(kind, sb.ID, sb)
}

func (s *Service) publish(kind cri.ContainerEventType, id string, sb *sandbox.Sandbox) {
	s.events.Publish(func() *cri.ContainerEventResponse {
		e := &cri.ContainerEventResponse{ContainerId: id, ContainerEventType: kind, CreatedAt: time.Now().UnixNano(), PodSandboxStatus: sandboxStatus(sb)}
		for _, c := range s.Containers.Of(sb.ID) {
			e.ContainersStatuses = append(e.ContainersStatuses, containerStatus(c))
		}
		return e
	})
}

// GetContainerEvents follows what happens to containers until the client goes.
func (s *Service) GetContainerEvents(_ *cri.GetEventsRequest, out cri.RuntimeService_GetContainerEventsServer) error {
	all, cancel := s.events.Subscribe()
	defer cancel()
	// The header tells the client that it misses nothing from here on.
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case <-out.Context().Done():
			return nil
		case <-s.Stopping:
			return status.Error(codes.Unavailable, "the runtime is ending")
		case e, ok := <-all:
			if !ok {
				return status.Error(codes.ResourceExhausted, "the client did not keep up with events: list containers and follow again")
			}
			if err := out.Send(e); err != nil {
				return err
			}
		}
	}
}
