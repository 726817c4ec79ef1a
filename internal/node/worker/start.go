package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/lifecycle"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/volumes"
)

// Reasons for which a container could not be started.
const (
	reasonConfig    = "CreateContainerConfigError"
	reasonCreate    = "CreateContainerError"
	reasonRun       = "RunContainerError"
	reasonPostStart = "PostStartHookError"
)

// startRetry is how long a container that could not be made waits for the
// next try, unless what it waits for changes before.
const startRetry = 10 * time.Second

// startFailure is why a container was not started.
type startFailure struct {
	reason string
	err    error
}

func (f *startFailure) Error() string { return f.reason + ": " + cri.Message(f.err) }
func (f *startFailure) Unwrap() error { return f.err }

// start is one start of a container: a copy of what the worker knew.
type start struct {
	w       *Worker
	ctx     context.Context // ends with the agent
	hookCtx context.Context // ends when the pod is to end
	pod     *corev1.Pod
	c       *corev1.Container
	attempt uint32
	image   string
	user    render.ImageUser
	sandbox *runtimeapi.PodSandboxStatus
	podIPs  []string
	mounts  map[string]volumes.Mounted
	target  string
	id      string // once created
}

func (w *Worker) startContainer(a podstate.Action, now time.Time) func() func() {
	pod, sandbox := w.view.Allocated.Apply(w.view.Pod), w.view.Sandbox()
	s := &start{
		w: w, ctx: w.ctx, hookCtx: w.starting, pod: pod, c: render.Find(pod, a.Container), attempt: a.Attempt,
		image: w.view.Images[a.Container], user: w.users[a.Container], sandbox: sandbox,
		podIPs: w.view.PodIPs(), mounts: w.volumes, target: w.ephemeralTarget(pod, a.Container),
	}
	delete(w.view.Images, a.Container)
	w.view.Crash[a.Container] = w.view.CrashAfter(s.c, w.view.Newest(a.Container), now)
	return func() func() {
		err := s.run()
		return func() { w.startDone(s, err) }
	}
}

func (w *Worker) startDone(s *start, err error) {
	var failure *startFailure
	if errors.As(err, &failure) {
		w.deps.Metrics.ContainerStarted(s.pod, s.c.Name, failure.reason)
	} else {
		w.deps.Metrics.ContainerStarted(s.pod, s.c.Name, "")
	}
	switch {
	case err == nil:
		delete(w.view.Waiting, s.c.Name)
		w.view.Resized[s.id] = s.c.Resources
	case errors.As(err, &failure):
		w.view.Waiting[s.c.Name] = podstate.Waiting{Reason: failure.reason, Message: cri.Message(failure.err)}
		w.view.NotBefore[s.c.Name] = time.Now().Add(startRetry)
	}
}

// ephemeralTarget is the id of the container that an ephemeral one looks into.
func (w *Worker) ephemeralTarget(pod *corev1.Pod, name string) string {
	for i := range pod.Spec.EphemeralContainers {
		e := &pod.Spec.EphemeralContainers[i]
		if e.Name == name && e.TargetContainerName != "" {
			if t := w.view.Newest(e.TargetContainerName); t != nil {
				return t.ID()
			}
		}
	}
	return ""
}

// run makes and starts the container and runs its postStart hook.
func (s *start) run() error {
	cfg, err := s.config()
	if err != nil {
		s.event(corev1.EventTypeWarning, "Failed", "Error: "+err.Error())
		return &startFailure{reasonConfig, err}
	}
	s.id, err = s.w.deps.Runtime.CreateContainer(s.ctx, s.sandbox.GetId(), cfg, render.Sandbox(s.w.sandboxInput(s.pod, s.sandbox.GetMetadata().GetAttempt())))
	if err != nil {
		s.event(corev1.EventTypeWarning, "Failed", "Error: "+cri.Message(err))
		return &startFailure{reasonCreate, err}
	}
	s.event(corev1.EventTypeNormal, "Created", "Container created")
	if err := s.w.deps.Runtime.StartContainer(s.ctx, s.id); err != nil {
		s.event(corev1.EventTypeWarning, "Failed", "Error: "+cri.Message(err))
		s.look()
		return &startFailure{reasonRun, err}
	}
	s.event(corev1.EventTypeNormal, "Started", "Container started")
	if !s.look() {
		s.assume(cfg)
	}
	return s.postStart()
}

func (s *start) event(typ, reason, message string) {
	s.w.deps.containerEvent(s.pod, s.c.Name, typ, reason, message)
}

// look takes in the container's state, without waiting for the runtime's event.
func (s *start) look() bool {
	st, err := s.w.deps.Runtime.ContainerStatus(s.ctx, s.id)
	if err != nil {
		if s.ctx.Err() == nil {
			s.w.logger.Warn("container status is unknown", "container", s.c.Name, "id", s.id, "error", err)
		}
		return false
	}
	sandbox := s.sandbox
	s.w.post(func() { s.w.observe(sandbox, []*runtimeapi.ContainerStatus{st}) })
	return true
}

// assume takes in that the container was started, where the runtime could not
// tell more of it: else it would be started a second time beside itself. What
// the runtime tells later counts.
func (s *start) assume(cfg *runtimeapi.ContainerConfig) {
	now := time.Now().UnixNano()
	st := &runtimeapi.ContainerStatus{
		Id: s.id, Metadata: cfg.GetMetadata(), State: runtimeapi.ContainerState_CONTAINER_RUNNING, CreatedAt: now, StartedAt: now,
		Image: cfg.GetImage(), ImageRef: cfg.GetImage().GetImage(), Labels: cfg.GetLabels(), Annotations: cfg.GetAnnotations(), Mounts: cfg.GetMounts(),
	}
	s.w.post(func() {
		if i := s.w.view.Newest(s.c.Name); i == nil || i.ID() != s.id || !i.Running() {
			s.w.observe(s.sandbox, []*runtimeapi.ContainerStatus{st})
		}
	})
}

func (s *start) postStart() error {
	if s.c.Lifecycle == nil || s.c.Lifecycle.PostStart == nil {
		return nil
	}
	err := lifecycle.Run(s.hookCtx, lifecycle.Target{Runtime: s.w.deps.Runtime, Container: s.c, ID: s.id, PodIP: first(s.podIPs)}, s.c.Lifecycle.PostStart)
	if err == nil || s.hookCtx.Err() != nil {
		return nil
	}
	s.event(corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	s.event(corev1.EventTypeNormal, "Killing", "FailedPostStartHook")
	if kill := s.w.deps.Runtime.StopContainer(s.ctx, s.id, podSeconds(s.pod)); kill != nil {
		s.w.logger.Warn("container is not stopped after its hook failed", "container", s.c.Name, "error", kill)
	}
	s.look()
	return &startFailure{reasonPostStart, err}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func podSeconds(pod *corev1.Pod) int64 {
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		return *pod.Spec.TerminationGracePeriodSeconds
	}
	return 30
}

// config renders the container's configuration and prepares its files.
func (s *start) config() (*runtimeapi.ContainerConfig, error) {
	if err := render.VerifyNonRoot(s.pod, s.c, s.user); err != nil {
		return nil, err
	}
	env, err := s.env()
	if err != nil {
		return nil, err
	}
	mounts, devices, err := s.mountList(env)
	if err != nil {
		return nil, err
	}
	users, err := s.w.ownUsers(s.pod)
	if err != nil {
		return nil, err
	}
	in := render.ContainerInput{
		Users: users,
		Pod:   s.pod, Container: s.c, Attempt: s.attempt, Image: s.image, Env: env, Mounts: mounts, Devices: devices,
		Target: s.target, Profiles: s.w.deps.Profiles, MemoryCapacity: s.w.deps.MemoryCapacity,
		DefaultSeccomp: s.w.deps.DefaultSeccomp, NoCPUQuota: s.w.deps.NoCPUQuota,
	}
	if in.HostsFile, in.MessageFile, err = s.files(); err != nil {
		return nil, err
	}
	cfg := render.Container(in)
	return cfg, makeLogDir(filepath.Dir(filepath.Join(render.PodLogDir(s.w.deps.LogRoot, s.pod), cfg.GetLogPath())))
}

func makeLogDir(dir string) error { return os.MkdirAll(dir, 0o755) }

// files makes /etc/hosts and the termination message file.
func (s *start) files() (hosts, message string, err error) {
	in := render.HostsInput{Pod: s.pod, PodIPs: s.podIPs, Cluster: s.w.deps.Cluster}
	if s.pod.Spec.HostNetwork {
		data, err := os.ReadFile("/etc/hosts")
		if err != nil {
			s.w.logger.Warn("the node's hosts file is not readable", "error", err)
		}
		in.NodeHosts = string(data)
	}
	hosts, err = s.w.deps.Volumes.File(s.pod, "etc-hosts", []byte(render.Hosts(in)), 0o644)
	if err != nil {
		return "", "", err
	}
	// Each run has a message file of its own: an old message is never taken
	// for a new one.
	name := filepath.Join("containers", s.c.Name, fmt.Sprintf("message-%d", s.attempt))
	message, err = s.w.deps.Volumes.File(s.pod, name, nil, 0o666)
	return hosts, message, err
}

func (s *start) env() ([]*runtimeapi.KeyValue, error) {
	refs, err := s.refs()
	if err != nil {
		return nil, err
	}
	services := s.w.deps.Services.List(s.pod.Namespace, nil)
	if master, ok := s.w.deps.Services.Get(corev1.NamespaceDefault, "kubernetes"); ok {
		services = append(services, master)
	}
	return render.Env(render.EnvInput{
		Pod: s.pod, Container: s.c, Refs: refs, Services: services,
		HostIPs: s.w.deps.HostIPs, PodIPs: s.podIPs, Allocatable: s.w.deps.allocatable(),
	})
}

// refs reads the objects that the environment names before it is rendered.
func (s *start) refs() (render.Refs, error) {
	names, secretNames := render.EnvRefs(s.c)
	maps := make(map[string]*corev1.ConfigMap, len(names))
	for _, name := range names {
		cm, err := s.w.deps.Objects.ConfigMap(s.hookCtx, s.pod.Namespace, name)
		if err != nil {
			return render.Refs{}, err
		}
		maps[name] = cm
	}
	secrets := make(map[string]*corev1.Secret, len(secretNames))
	for _, name := range secretNames {
		secret, err := s.w.deps.Objects.Secret(s.hookCtx, s.pod.Namespace, name)
		if err != nil {
			return render.Refs{}, err
		}
		secrets[name] = secret
	}
	return render.Refs{
		ConfigMap: func(name string) *corev1.ConfigMap { return maps[name] },
		Secret:    func(name string) *corev1.Secret { return secrets[name] },
		File:      func(volume, path string) (string, error) { return s.mounts[volume].ReadFile(path) },
	}, nil
}
