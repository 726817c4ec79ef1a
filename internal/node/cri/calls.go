package cri

import (
	"context"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Version asks for the runtime's name and version.
func (c *Client) Version(ctx context.Context) (*runtimeapi.VersionResponse, error) {
	return unary(ctx, callTimeout, c.runtime.Version, &runtimeapi.VersionRequest{Version: "v1"})
}

// Status asks for the runtime's conditions, handlers and features.
func (c *Client) Status(ctx context.Context) (*runtimeapi.StatusResponse, error) {
	return unary(ctx, callTimeout, c.runtime.Status, &runtimeapi.StatusRequest{})
}

// SetPodCIDR tells the runtime the range that pod addresses come from.
func (c *Client) SetPodCIDR(ctx context.Context, cidr string) error {
	_, err := unary(ctx, callTimeout, c.runtime.UpdateRuntimeConfig, &runtimeapi.UpdateRuntimeConfigRequest{
		RuntimeConfig: &runtimeapi.RuntimeConfig{NetworkConfig: &runtimeapi.NetworkConfig{PodCidr: cidr}},
	})
	return err
}

// RunSandbox makes and starts a sandbox and returns its id.
func (c *Client) RunSandbox(ctx context.Context, cfg *runtimeapi.PodSandboxConfig, handler string) (string, error) {
	resp, err := unary(ctx, 2*callTimeout, c.runtime.RunPodSandbox, &runtimeapi.RunPodSandboxRequest{Config: cfg, RuntimeHandler: handler})
	return resp.GetPodSandboxId(), err
}

// StopSandbox stops a sandbox and everything in it. Idempotent.
func (c *Client) StopSandbox(ctx context.Context, id string) error {
	_, err := unary(ctx, 2*callTimeout, c.runtime.StopPodSandbox, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id})
	return gone(err)
}

// RemoveSandbox forgets a sandbox and its containers. Idempotent.
func (c *Client) RemoveSandbox(ctx context.Context, id string) error {
	_, err := unary(ctx, callTimeout, c.runtime.RemovePodSandbox, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id})
	return gone(err)
}

// SandboxStatus asks for a sandbox, with its addresses. Runtimes that tell
// events give the containers' statuses along.
func (c *Client) SandboxStatus(ctx context.Context, id string) (*runtimeapi.PodSandboxStatusResponse, error) {
	return unary(ctx, callTimeout, c.runtime.PodSandboxStatus, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
}

// Sandboxes lists all sandboxes that carry the labels (nil: all).
func (c *Client) Sandboxes(ctx context.Context, labels map[string]string) ([]*runtimeapi.PodSandbox, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.ListPodSandbox, &runtimeapi.ListPodSandboxRequest{
		Filter: &runtimeapi.PodSandboxFilter{LabelSelector: labels},
	})
	return resp.GetItems(), err
}

// Containers lists all containers that carry the labels (nil: all).
func (c *Client) Containers(ctx context.Context, labels map[string]string) ([]*runtimeapi.Container, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.ListContainers, &runtimeapi.ListContainersRequest{
		Filter: &runtimeapi.ContainerFilter{LabelSelector: labels},
	})
	return resp.GetContainers(), err
}

// CreateContainer makes a container in a sandbox and returns its id.
func (c *Client) CreateContainer(ctx context.Context, sandbox string, cfg *runtimeapi.ContainerConfig, sandboxCfg *runtimeapi.PodSandboxConfig) (string, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.CreateContainer, &runtimeapi.CreateContainerRequest{
		PodSandboxId: sandbox, Config: cfg, SandboxConfig: sandboxCfg,
	})
	return resp.GetContainerId(), err
}

// StartContainer starts a created container.
func (c *Client) StartContainer(ctx context.Context, id string) error {
	_, err := unary(ctx, callTimeout, c.runtime.StartContainer, &runtimeapi.StartContainerRequest{ContainerId: id})
	return err
}

// StopContainer stops a container: its stop signal, then after grace seconds
// SIGKILL. It returns when the container has ended. Idempotent.
func (c *Client) StopContainer(ctx context.Context, id string, grace int64) error {
	timeout := callTimeout + time.Duration(grace)*time.Second
	_, err := unary(ctx, timeout, c.runtime.StopContainer, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: grace})
	return gone(err)
}

// RemoveContainer forgets a container. Idempotent.
func (c *Client) RemoveContainer(ctx context.Context, id string) error {
	_, err := unary(ctx, callTimeout, c.runtime.RemoveContainer, &runtimeapi.RemoveContainerRequest{ContainerId: id})
	return gone(err)
}

// ContainerStatus asks for one container.
func (c *Client) ContainerStatus(ctx context.Context, id string) (*runtimeapi.ContainerStatus, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.ContainerStatus, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	return resp.GetStatus(), err
}

// UpdateResources changes a running container's limits.
func (c *Client) UpdateResources(ctx context.Context, id string, res *runtimeapi.LinuxContainerResources) error {
	_, err := unary(ctx, callTimeout, c.runtime.UpdateContainerResources, &runtimeapi.UpdateContainerResourcesRequest{ContainerId: id, Linux: res})
	return err
}

// ReopenLog makes the runtime open the container's log path anew.
func (c *Client) ReopenLog(ctx context.Context, id string) error {
	_, err := unary(ctx, callTimeout, c.runtime.ReopenContainerLog, &runtimeapi.ReopenContainerLogRequest{ContainerId: id})
	return err
}

// ExecSync runs a command in a container and collects its output; timeout
// zero means no bound but ctx.
func (c *Client) ExecSync(ctx context.Context, id string, cmd []string, timeout time.Duration) (*runtimeapi.ExecSyncResponse, error) {
	// CRI counts whole seconds; zero there means none.
	seconds := int64((timeout + time.Second - 1) / time.Second)
	req := &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: cmd, Timeout: seconds}
	if timeout <= 0 {
		return c.runtime.ExecSync(ctx, req, grpc.WaitForReady(true))
	}
	return unary(ctx, timeout+10*time.Second, c.runtime.ExecSync, req)
}

// Exec prepares a streaming exec and returns the URL that serves it.
func (c *Client) Exec(ctx context.Context, req *runtimeapi.ExecRequest) (string, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.Exec, req)
	return resp.GetUrl(), err
}

// Attach prepares a streaming attach and returns the URL that serves it.
func (c *Client) Attach(ctx context.Context, req *runtimeapi.AttachRequest) (string, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.Attach, req)
	return resp.GetUrl(), err
}

// PortForward prepares a port forward and returns the URL that serves it.
func (c *Client) PortForward(ctx context.Context, req *runtimeapi.PortForwardRequest) (string, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.PortForward, req)
	return resp.GetUrl(), err
}

// ContainerStats lists the use of resources of all running containers.
func (c *Client) ContainerStats(ctx context.Context) ([]*runtimeapi.ContainerStats, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.ListContainerStats, &runtimeapi.ListContainerStatsRequest{})
	return resp.GetStats(), err
}

// MemoryUse is the working set of one container, in bytes.
func (c *Client) MemoryUse(ctx context.Context, id string) (int64, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.ContainerStats, &runtimeapi.ContainerStatsRequest{ContainerId: id})
	return int64(resp.GetStats().GetMemory().GetWorkingSetBytes().GetValue()), err
}

// SandboxStats lists the use of resources of all ready sandboxes.
func (c *Client) SandboxStats(ctx context.Context) ([]*runtimeapi.PodSandboxStats, error) {
	resp, err := unary(ctx, callTimeout, c.runtime.ListPodSandboxStats, &runtimeapi.ListPodSandboxStatsRequest{})
	return resp.GetStats(), err
}

// ImageStatus asks for an image; nil where it is not there.
func (c *Client) ImageStatus(ctx context.Context, image string) (*runtimeapi.Image, error) {
	resp, err := unary(ctx, callTimeout, c.image.ImageStatus, &runtimeapi.ImageStatusRequest{
		Image: &runtimeapi.ImageSpec{Image: image},
	})
	if IsNotFound(err) {
		return nil, nil
	}
	return resp.GetImage(), err
}

// PullImage pulls an image and returns a reference to it.
func (c *Client) PullImage(ctx context.Context, image string, auth *runtimeapi.AuthConfig, sandbox *runtimeapi.PodSandboxConfig) (string, error) {
	resp, err := unary(ctx, pullTimeout, c.image.PullImage, &runtimeapi.PullImageRequest{
		Image: &runtimeapi.ImageSpec{Image: image, UserSpecifiedImage: image}, Auth: auth, SandboxConfig: sandbox,
	})
	return resp.GetImageRef(), err
}

// Images lists all images.
func (c *Client) Images(ctx context.Context) ([]*runtimeapi.Image, error) {
	resp, err := unary(ctx, callTimeout, c.image.ListImages, &runtimeapi.ListImagesRequest{})
	return resp.GetImages(), err
}

// RemoveImage forgets an image and all its names. Idempotent.
func (c *Client) RemoveImage(ctx context.Context, id string) error {
	_, err := unary(ctx, callTimeout, c.image.RemoveImage, &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: id}})
	return gone(err)
}

// ImageFs tells where images lie and what they take.
func (c *Client) ImageFs(ctx context.Context) (*runtimeapi.ImageFsInfoResponse, error) {
	return unary(ctx, callTimeout, c.image.ImageFsInfo, &runtimeapi.ImageFsInfoRequest{})
}

// gone takes what is not there any more as done.
func gone(err error) error {
	if IsNotFound(err) {
		return nil
	}
	return err
}
