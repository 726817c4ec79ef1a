package nodetest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func missing(id string) error { return status.Errorf(codes.NotFound, "%s is not known", id) }

// RunPodSandbox makes a ready sandbox.
func (r *Runtime) RunPodSandbox(_ context.Context, req *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cfg := req.GetConfig()
	if err := r.beginLocked("RunPodSandbox", cfg.GetMetadata().GetName()); err != nil {
		return nil, err
	}
	id := r.idLocked("s")
	r.mu.sandboxes[id] = &sandbox{config: cfg, status: &runtimeapi.PodSandboxStatus{
		Id: id, Metadata: cfg.GetMetadata(), State: runtimeapi.PodSandboxState_SANDBOX_READY, CreatedAt: time.Now().UnixNano(),
		Network: &runtimeapi.PodSandboxNetworkStatus{Ip: fmt.Sprintf("127.%d.%d.2", r.mu.next/250, r.mu.next%250)},
		Labels:  cfg.GetLabels(), Annotations: cfg.GetAnnotations(),
	}}
	r.tellLocked(runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT, id, id)
	if err := r.faultLocked(LostRun); err != nil {
		return nil, err
	}
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: id}, nil
}

// StopPodSandbox ends what runs in a sandbox and makes it not ready.
func (r *Runtime) StopPodSandbox(_ context.Context, req *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.mu.sandboxes[req.GetPodSandboxId()]
	if s == nil {
		return nil, missing(req.GetPodSandboxId())
	}
	if err := r.beginLocked("StopPodSandbox", s.config.GetMetadata().GetName()); err != nil {
		return nil, err
	}
	for _, c := range r.mu.containers {
		if c.sandbox == s.status.Id && c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			r.endLocked(c, 137)
		}
	}
	s.status = copySandbox(s.status)
	s.status.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	r.tellLocked(runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT, s.status.Id, s.status.Id)
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

// RemovePodSandbox forgets a sandbox and what is in it.
func (r *Runtime) RemovePodSandbox(_ context.Context, req *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := req.GetPodSandboxId()
	s := r.mu.sandboxes[id]
	if s == nil {
		return nil, missing(id)
	}
	if err := r.beginLocked("RemovePodSandbox", s.config.GetMetadata().GetName()); err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.config.GetLogDirectory()); err == nil {
		r.mu.removedWithLogs++
	}
	maps.DeleteFunc(r.mu.containers, func(_ string, c *container) bool { return c.sandbox == id })
	r.tellLocked(runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT, id, id)
	delete(r.mu.sandboxes, id)
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

// PodSandboxStatus tells of a sandbox and its containers.
func (r *Runtime) PodSandboxStatus(_ context.Context, req *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.mu.sandboxes[req.GetPodSandboxId()]
	if s == nil {
		return nil, missing(req.GetPodSandboxId())
	}
	if err := r.faultLocked("PodSandboxStatus"); err != nil {
		return nil, err
	}
	if r.mu.broken[s.config.GetMetadata().GetName()] {
		return nil, status.Error(codes.Unknown, "the sandbox is in pieces")
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: s.status}, nil
}

// ListPodSandbox lists all sandboxes; filters are not looked at.
func (r *Runtime) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &runtimeapi.ListPodSandboxResponse{}
	for _, id := range slices.Sorted(maps.Keys(r.mu.sandboxes)) {
		s := r.mu.sandboxes[id]
		out.Items = append(out.Items, &runtimeapi.PodSandbox{Id: id, Metadata: s.status.Metadata, State: s.status.State, Labels: s.status.Labels})
	}
	return out, nil
}

// CreateContainer makes a container of an image that is present.
func (r *Runtime) CreateContainer(_ context.Context, req *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cfg := req.GetConfig()
	if err := r.beginLocked("CreateContainer", cfg.GetMetadata().GetName()); err != nil {
		return nil, err
	}
	s := r.mu.sandboxes[req.GetPodSandboxId()]
	if s == nil || s.status.State != runtimeapi.PodSandboxState_SANDBOX_READY {
		return nil, missing(req.GetPodSandboxId())
	}
	id := r.idLocked("c")
	r.mu.containers[id] = &container{config: cfg, sandbox: s.status.Id, ended: make(chan struct{}), status: &runtimeapi.ContainerStatus{
		Id: id, Metadata: cfg.GetMetadata(), State: runtimeapi.ContainerState_CONTAINER_CREATED, CreatedAt: time.Now().UnixNano(),
		Image: cfg.GetImage(), ImageRef: cfg.GetImage().GetImage(), Labels: cfg.GetLabels(), Annotations: cfg.GetAnnotations(),
		LogPath: s.config.GetLogDirectory() + "/" + cfg.GetLogPath(),
	}}
	r.tellLocked(runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT, id, s.status.Id)
	return &runtimeapi.CreateContainerResponse{ContainerId: id}, nil
}

// StartContainer makes a container run.
func (r *Runtime) StartContainer(_ context.Context, req *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.mu.containers[req.GetContainerId()]
	if c == nil {
		return nil, missing(req.GetContainerId())
	}
	if err := r.beginLocked("StartContainer", c.config.GetMetadata().GetName()); err != nil {
		return nil, err
	}
	c.status = copyContainer(c.status)
	c.status.State, c.status.StartedAt = runtimeapi.ContainerState_CONTAINER_RUNNING, time.Now().UnixNano()
	r.tellLocked(runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT, c.status.Id, c.sandbox)
	return &runtimeapi.StartContainerResponse{}, nil
}

// StopContainer ends a container with code 0, or a stubborn one with 137
// after its grace.
func (r *Runtime) StopContainer(ctx context.Context, req *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	r.mu.Lock()
	c := r.mu.containers[req.GetContainerId()]
	if c == nil {
		r.mu.Unlock()
		return nil, missing(req.GetContainerId())
	}
	name := c.config.GetMetadata().GetName()
	err := r.beginLocked("StopContainer", fmt.Sprintf("%s grace=%d", name, req.GetTimeout()))
	stubborn := r.mu.stubborn[name] && req.GetTimeout() > 0
	if err == nil && !stubborn && c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
		code := int32(0)
		if req.GetTimeout() == 0 {
			code = 137
		}
		r.endLocked(c, code)
	}
	r.mu.Unlock()
	if err != nil || !stubborn {
		return &runtimeapi.StopContainerResponse{}, err
	}
	timer := time.NewTimer(time.Duration(req.GetTimeout()) * time.Second)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-timer.C:
		r.mu.Lock()
		defer r.mu.Unlock()
		if c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			r.endLocked(c, 137)
		}
	}
	return &runtimeapi.StopContainerResponse{}, nil
}

// RemoveContainer forgets a container.
func (r *Runtime) RemoveContainer(_ context.Context, req *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.mu.containers[req.GetContainerId()]
	if c == nil {
		return nil, missing(req.GetContainerId())
	}
	if err := r.beginLocked("RemoveContainer", c.config.GetMetadata().GetName()); err != nil {
		return nil, err
	}
	delete(r.mu.containers, c.status.Id)
	r.tellLocked(runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT, c.status.Id, c.sandbox)
	return &runtimeapi.RemoveContainerResponse{}, nil
}

// ContainerStatus tells of a container.
func (r *Runtime) ContainerStatus(_ context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.mu.containers[req.GetContainerId()]
	if c == nil {
		return nil, missing(req.GetContainerId())
	}
	if err := r.faultLocked("ContainerStatus"); err != nil {
		return nil, err
	}
	return &runtimeapi.ContainerStatusResponse{Status: c.status}, nil
}

// ListContainers lists all containers; filters are not looked at.
func (r *Runtime) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &runtimeapi.ListContainersResponse{}
	for _, id := range slices.Sorted(maps.Keys(r.mu.containers)) {
		c := r.mu.containers[id]
		out.Containers = append(out.Containers, &runtimeapi.Container{
			Id: id, PodSandboxId: c.sandbox, Metadata: c.status.Metadata, Image: c.status.Image, State: c.status.State, Labels: c.status.Labels,
		})
	}
	return out, nil
}

// ExecSync fails where a fault says so and succeeds otherwise.
func (r *Runtime) ExecSync(_ context.Context, req *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.beginLocked("ExecSync", fmt.Sprint(req.GetCmd())); err != nil {
		if s := status.Convert(err); s.Code() == codes.OK || s.Message() == "exit 1" {
			return &runtimeapi.ExecSyncResponse{ExitCode: 1, Stderr: []byte("no")}, nil
		}
		return nil, err
	}
	return &runtimeapi.ExecSyncResponse{Stdout: []byte("yes")}, nil
}

// ImageStatus tells of an image.
func (r *Runtime) ImageStatus(_ context.Context, req *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := req.GetImage().GetImage()
	for key, image := range r.mu.images {
		if key == name || image.Id == name {
			return &runtimeapi.ImageStatusResponse{Image: image}, nil
		}
	}
	return &runtimeapi.ImageStatusResponse{}, nil
}

// PullImage makes an image present unless a fault says otherwise.
func (r *Runtime) PullImage(_ context.Context, req *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	name := req.GetImage().GetImage()
	r.mu.Lock()
	err := r.beginLocked("PullImage", name+" "+req.GetAuth().GetUsername())
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	r.AddImage(name)
	return &runtimeapi.PullImageResponse{ImageRef: "sha256:" + name}, nil
}

// ListImages lists all images.
func (r *Runtime) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &runtimeapi.ListImagesResponse{}
	for _, name := range slices.Sorted(maps.Keys(r.mu.images)) {
		out.Images = append(out.Images, r.mu.images[name])
	}
	return out, nil
}

// RemoveImage forgets an image.
func (r *Runtime) RemoveImage(_ context.Context, req *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := req.GetImage().GetImage()
	if err := r.beginLocked("RemoveImage", id); err != nil {
		return nil, err
	}
	maps.DeleteFunc(r.mu.images, func(_ string, image *runtimeapi.Image) bool { return image.Id == id })
	return &runtimeapi.RemoveImageResponse{}, nil
}

// ImageFsInfo names the file system that KeepImagesIn chose.
func (r *Runtime) ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.imageDir == "" {
		return nil, status.Error(codes.Unimplemented, "images lie nowhere")
	}
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: []*runtimeapi.FilesystemUsage{{FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: r.mu.imageDir}}}}, nil
}
