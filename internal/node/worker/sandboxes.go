package worker

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/userns"
)

// sandboxConfig is what a pod's sandbox is made from, and by which handler.
func (w *Worker) sandboxConfig(pod *corev1.Pod, attempt uint32) (handler string, _ *runtimeapi.PodSandboxConfig, err error) {
	in := w.sandboxInput(pod, attempt)
	if handler, err = w.runtimeHandler(pod); err != nil {
		return handler, nil, err
	}
	if in.Users, err = w.ownUsers(pod); err != nil {
		return handler, nil, err
	}
	if in.Users != nil {
		if err := w.handlesUsers(w.ctx, handler); err != nil {
			return handler, nil, err
		}
	}
	return handler, render.Sandbox(in), nil
}

// madeBefore looks, when a try to make a sandbox failed, for one that was made
// all the same: a runtime that dies may not have told of it.
func (w *Worker) madeBefore() func() (id string, err error) {
	if w.mounts == 0 {
		return func() (string, error) { return "", nil }
	}
	known := map[string]bool{}
	for _, s := range w.view.Sandboxes {
		known[s.GetId()] = true
	}
	return func() (string, error) {
		found, err := w.deps.Runtime.Sandboxes(w.ctx, map[string]string{render.LabelPodUID: string(w.uid)})
		for _, s := range found {
			if s.GetState() == runtimeapi.PodSandboxState_SANDBOX_READY && s.GetLabels()[render.LabelPodUID] == string(w.uid) && !known[s.GetId()] {
				return s.GetId(), nil
			}
		}
		return "", err
	}
}

// sandboxStopped takes in that the runtime stopped a sandbox of which it
// cannot tell: nobody has to stop it again.
func (w *Worker) sandboxStopped(id string) {
	for i, s := range w.view.Sandboxes {
		if s.GetId() == id {
			stopped := proto.CloneOf(s)
			stopped.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
			w.view.Sandboxes[i] = stopped
		}
	}
}

// runtimeHandler is what the pod's RuntimeClass names.
func (w *Worker) runtimeHandler(pod *corev1.Pod) (string, error) {
	name := pod.Spec.RuntimeClassName
	if name == nil || *name == "" {
		return "", nil
	}
	class, err := client.For[*nodev1.RuntimeClass](w.deps.Client).Get(w.ctx, "", *name)
	if err != nil {
		return "", fmt.Errorf("failed to get RuntimeClass %q: %w", *name, err)
	}
	return class.Handler, nil
}

// ownUsers are those of the pod's user namespace; nil where it has the node's.
func (w *Worker) ownUsers(pod *corev1.Pod) (*render.Users, error) {
	if pod.Spec.HostUsers == nil || *pod.Spec.HostUsers {
		return nil, nil
	}
	first, err := w.deps.Users.Take(pod.UID)
	if err != nil {
		return nil, err
	}
	return &render.Users{First: first, Length: userns.Length}, nil
}

// handlesUsers refuses a runtime that would pass over the pod's wish and run
// it with the node's users.
func (w *Worker) handlesUsers(ctx context.Context, handler string) error {
	status, err := w.deps.Runtime.Status(ctx)
	if err != nil {
		return err
	}
	for _, h := range status.GetRuntimeHandlers() {
		if h.GetName() == handler && h.GetFeatures().GetUserNamespaces() {
			return nil
		}
	}
	return fmt.Errorf("the handler %q is not known to support user namespaces", handler)
}
