// Package nodetest holds what the node agent is tested with: a container
// runtime that behaves as CRI says but runs nothing, served over a real gRPC
// socket, whose containers end, fail and vanish when a test says so. Its own
// tests run the whole agent against it and against a real API server.
package nodetest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Runtime is a container runtime without containers. It is safe for
// concurrent use.
type Runtime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	mu struct {
		sync.Mutex
		next       int
		sandboxes  map[string]*sandbox
		containers map[string]*container
		images     map[string]*runtimeapi.Image
		streams    map[chan *runtimeapi.ContainerEventResponse]bool
		faults     map[string][]error
		calls      []string
		podCIDR    string
		stubborn   map[string]bool
		broken     map[string]bool   // sandboxes of which nothing is told, by pod
		memory     map[string]uint64 // that containers take, by name
		written    map[string]uint64
		imageDir   string           // on the images' file system
		held       map[string]*gate // by method
		silent     bool             // no events are told
		// removedWithLogs counts sandboxes that went before their logs.
		removedWithLogs int
	}
	server *grpc.Server
}

type sandbox struct {
	config *runtimeapi.PodSandboxConfig
	status *runtimeapi.PodSandboxStatus
}

type container struct {
	config  *runtimeapi.ContainerConfig
	sandbox string
	status  *runtimeapi.ContainerStatus
	ended   chan struct{}
}

// LostRun is for answers of RunPodSandbox that get lost.
const LostRun = "RunPodSandbox, answered"

// NewRuntime makes a runtime that has the given images.
func NewRuntime(images ...string) *Runtime {
	r := &Runtime{}
	r.mu.sandboxes = map[string]*sandbox{}
	r.mu.containers = map[string]*container{}
	r.mu.images = map[string]*runtimeapi.Image{}
	r.mu.streams = map[chan *runtimeapi.ContainerEventResponse]bool{}
	r.mu.faults = map[string][]error{}
	r.mu.stubborn = map[string]bool{}
	r.mu.broken = map[string]bool{}
	r.mu.held = map[string]*gate{}
	r.mu.memory, r.mu.written = map[string]uint64{}, map[string]uint64{}
	for _, name := range images {
		r.AddImage(name)
	}
	return r
}

// AddImage makes an image present.
func (r *Runtime) AddImage(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.images[name] = &runtimeapi.Image{Id: "sha256:" + name, RepoTags: []string{name}, Size: 1 << 20}
}

// PutImage makes an image present that has a tag.
func (r *Runtime) PutImage(image *runtimeapi.Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.images[image.GetRepoTags()[0]] = image
}

// KeepImagesIn says on which file system images lie.
func (r *Runtime) KeepImagesIn(dir string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.imageDir = dir
}

// Serve answers on the socket until Stop.
func (r *Runtime) Serve(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	r.server = grpc.NewServer(grpc.UnaryInterceptor(r.wait))
	runtimeapi.RegisterRuntimeServiceServer(r.server, r)
	runtimeapi.RegisterImageServiceServer(r.server, r)
	go func() { _ = r.server.Serve(l) }()
	return nil
}

// Stop ends the server; its state stays for another Serve.
func (r *Runtime) Stop() { r.server.Stop() }

// Fail makes the next calls of a method fail, one by one. Under the name
// LostRun they are those of RunPodSandbox, which do what was asked for.
func (r *Runtime) Fail(method string, errs ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.faults[method] = append(r.mu.faults[method], errs...)
}

// Silence loses the events that come from now on.
func (r *Runtime) Silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.silent = true
}

// Mend makes the calls of a method succeed again.
func (r *Runtime) Mend(method string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.faults, method)
}

// Stubborn makes containers of that name ignore their stop signal.
func (r *Runtime) Stubborn(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.stubborn[name] = true
}

// Break makes the runtime unable to tell of a pod's sandboxes, or able again.
func (r *Runtime) Break(pod string, broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.broken[pod] = broken
}

// Calls lists the calls that changed something, as method and name.
func (r *Runtime) Calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.mu.calls...)
}

// PodCIDR is the range that the agent has set.
func (r *Runtime) PodCIDR() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.podCIDR
}

// Mounts are those of the running containers of that name.
func (r *Runtime) Mounts(name string) []*runtimeapi.Mount {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*runtimeapi.Mount
	for _, c := range r.mu.containers {
		if c.config.Metadata.Name == name && c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			out = append(out, c.config.Mounts...)
		}
	}
	return out
}

// Containers counts containers by state.
func (r *Runtime) Containers(state runtimeapi.ContainerState) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, c := range r.mu.containers {
		if c.status.State == state {
			n++
		}
	}
	return n
}

// Sandboxes counts all sandboxes.
func (r *Runtime) Sandboxes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.sandboxes)
}

// Exit ends the running containers of that name.
func (r *Runtime) Exit(name string, code int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.mu.containers {
		if c.config.Metadata.Name == name && c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			r.endLocked(c, code)
		}
	}
}

// KillSandboxes makes every sandbox not ready and ends what runs, as a power
// cut does.
func (r *Runtime) KillSandboxes() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.mu.containers {
		if c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			r.endLocked(c, 255)
		}
	}
	for id, s := range r.mu.sandboxes {
		s.status = copySandbox(s.status)
		s.status.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
		r.tellLocked(runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT, id, id)
	}
}

// begin counts a call and takes the next fault.
func (r *Runtime) beginLocked(method, name string) error {
	r.mu.calls = append(r.mu.calls, method+" "+name)
	return r.faultLocked(method)
}

// faultLocked takes the next fault of a method.
func (r *Runtime) faultLocked(method string) error {
	if list := r.mu.faults[method]; len(list) > 0 {
		r.mu.faults[method] = list[1:]
		return list[0]
	}
	return nil
}

func (r *Runtime) idLocked(prefix string) string {
	r.mu.next++
	return fmt.Sprintf("%s%08d", prefix, r.mu.next)
}

func copySandbox(s *runtimeapi.PodSandboxStatus) *runtimeapi.PodSandboxStatus {
	return &runtimeapi.PodSandboxStatus{
		Id: s.Id, Metadata: s.Metadata, State: s.State, CreatedAt: s.CreatedAt, Network: s.Network,
		Labels: s.Labels, Annotations: s.Annotations,
	}
}

func copyContainer(s *runtimeapi.ContainerStatus) *runtimeapi.ContainerStatus {
	return &runtimeapi.ContainerStatus{
		Id: s.Id, Metadata: s.Metadata, State: s.State, CreatedAt: s.CreatedAt, StartedAt: s.StartedAt, FinishedAt: s.FinishedAt,
		ExitCode: s.ExitCode, Image: s.Image, ImageRef: s.ImageRef, Reason: s.Reason, Message: s.Message,
		Labels: s.Labels, Annotations: s.Annotations, LogPath: s.LogPath,
	}
}

func (r *Runtime) endLocked(c *container, code int32) {
	c.status = copyContainer(c.status)
	c.status.State, c.status.ExitCode, c.status.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, code, time.Now().UnixNano()
	c.status.Reason = "Completed"
	if code != 0 {
		c.status.Reason = "Error"
	}
	close(c.ended)
	r.tellLocked(runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT, c.status.Id, c.sandbox)
}

// tellLocked sends an event to every stream; one that does not read is cut.
func (r *Runtime) tellLocked(kind runtimeapi.ContainerEventType, id, sandbox string) {
	ev := &runtimeapi.ContainerEventResponse{ContainerId: id, ContainerEventType: kind, CreatedAt: time.Now().UnixNano()}
	if s := r.mu.sandboxes[sandbox]; s != nil {
		ev.PodSandboxStatus = s.status
	}
	for _, c := range r.mu.containers {
		if c.sandbox == sandbox {
			ev.ContainersStatuses = append(ev.ContainersStatuses, c.status)
		}
	}
	for ch := range r.mu.streams {
		if r.mu.silent {
			break
		}
		select {
		case ch <- ev:
		default:
			close(ch)
			delete(r.mu.streams, ch)
		}
	}
}

// GetContainerEvents streams events.
func (r *Runtime) GetContainerEvents(_ *runtimeapi.GetEventsRequest, stream grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	ch := make(chan *runtimeapi.ContainerEventResponse, 1024)
	r.mu.Lock()
	r.mu.streams[ch] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.mu.streams, ch)
		r.mu.Unlock()
	}()
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case ev, ok := <-ch:
			if !ok {
				return status.Error(codes.ResourceExhausted, "the stream is not read")
			}
			if err := stream.Send(ev); err != nil {
				return err
			}
		}
	}
}

// Version answers with a name and a version.
func (r *Runtime) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: "nodetest", RuntimeVersion: "1", RuntimeApiVersion: "v1"}, nil
}

// Status says that the network is ready once a pod range was set.
func (r *Runtime) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true},
		{Type: runtimeapi.NetworkReady, Status: r.mu.podCIDR != "", Reason: "NoRange", Message: "no pod range was set"},
	}}}, nil
}

// UpdateRuntimeConfig takes the pod range.
func (r *Runtime) UpdateRuntimeConfig(_ context.Context, req *runtimeapi.UpdateRuntimeConfigRequest) (*runtimeapi.UpdateRuntimeConfigResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.podCIDR = req.GetRuntimeConfig().GetNetworkConfig().GetPodCidr()
	return &runtimeapi.UpdateRuntimeConfigResponse{}, nil
}

// RemovedWithLogs is how many sandboxes were removed while their logs were
// there.
func (r *Runtime) RemovedWithLogs() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.removedWithLogs
}
