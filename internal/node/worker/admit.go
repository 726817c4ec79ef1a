package worker

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/podstate"
)

// Bounds of one try to have a sandbox admitted, and of the pause after it.
const (
	admitTime  = 10 * time.Second
	admitPause = time.Second
)

// admitSandbox waits until the addresses of the newest sandbox are under the
// pod's network policies.
func (w *Worker) admitSandbox(a podstate.Action) func() func() {
	pod, addresses, starting := w.view.Pod, w.view.PodIPs(), w.starting
	return func() func() {
		ctx, cancel := context.WithTimeout(starting, admitTime)
		defer cancel()
		err := w.deps.Admit(ctx, pod, addresses)
		return func() {
			switch {
			case err == nil:
				w.view.Admitted = a.Target
			case starting.Err() == nil:
				w.deps.podEvent(pod, corev1.EventTypeWarning, "NetworkNotReady", "network is not ready: "+err.Error())
				w.view.NotBefore[podstate.AdmitKey] = time.Now().Add(admitPause)
			}
		}
	}
}
