package worker

import (
	"context"
	"fmt"

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
