// Package lifecycle runs the hooks of containers: after their start and
// before their stop, by a command, an HTTP request or a pause. It has no
// state; how long a hook may take is its caller's context.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/probe"
	"github.com/knarr-io/knarr/internal/node/render"
)

const maxAnswer = 10 << 10

// Target is the container that a hook belongs to.
type Target struct {
	Runtime   *cri.Client
	Container *corev1.Container
	ID        string
	PodIP     string
}

// Run runs a hook to its end, or until ctx ends.
func Run(ctx context.Context, t Target, h *corev1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		resp, err := t.Runtime.ExecSync(ctx, t.ID, h.Exec.Command, 0)
		if err != nil {
			return fmt.Errorf("hook's command: %w", err)
		}
		if resp.GetExitCode() != 0 {
			return fmt.Errorf("hook's command ended with code %d: %s%s", resp.GetExitCode(), resp.GetStdout(), resp.GetStderr())
		}
		return nil
	case h.HTTPGet != nil:
		return get(ctx, t, h.HTTPGet)
	case h.Sleep != nil:
		return sleep(ctx, time.Duration(h.Sleep.Seconds)*time.Second)
	}
	return errors.New("hook has no handler that this node knows")
}

func get(ctx context.Context, t Target, action *corev1.HTTPGetAction) error {
	name, number := "", action.Port.IntVal
	if action.Port.Type == intstr.String {
		name = action.Port.StrVal
	}
	port, ok := render.PortOf(t.Container, name, number)
	if !ok {
		// Upstream's hooks take port 80 where none is given.
		if port = 80; name != "" {
			return fmt.Errorf("couldn't find port: %q in container %q", name, t.Container.Name)
		}
	}
	req, err := probe.NewRequest(t.PodIP, port, action)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "kube-lifecycle/1.36")
	resp, err := probe.NewHTTPClient().Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return fmt.Errorf("hook's answer: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("hook's request was answered with status %d", resp.StatusCode)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
