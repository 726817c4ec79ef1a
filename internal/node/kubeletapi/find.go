package kubeletapi

import (
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/node/images"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/worker"
)

// problem is an answer that is not the one asked for.
type problem struct {
	code int
	text string
}

func (p *problem) Error() string { return p.text }

func notFound(format string, args ...any) *problem {
	return &problem{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// fail answers with an error; what is not a problem is the node's own fault.
func fail(w http.ResponseWriter, err error) {
	if p, ok := err.(*problem); ok {
		http.Error(w, p.text, p.code)
		return
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// pod finds the pod that a path names.
func (s *Server) pod(r *http.Request) (*corev1.Pod, worker.Snapshot, error) {
	namespace, name := r.PathValue("namespace"), r.PathValue("pod")
	pod, ok := s.cfg.Pods.Pod(namespace, name)
	if uid := r.PathValue("uid"); ok && uid != "" && types.UID(uid) != pod.UID {
		ok = false
	}
	if !ok {
		return nil, worker.Snapshot{}, notFound("pod %q not found", namespace+"/"+name)
	}
	snapshot, ok := s.cfg.Pods.Look(r.Context(), pod.UID)
	if !ok {
		return nil, worker.Snapshot{}, notFound("pod %q is not run by this node", namespace+"/"+name)
	}
	return pod, snapshot, nil
}

// container finds the instance of the container that a path names: the newest,
// or the one before it.
func (s *Server) container(r *http.Request, previous bool) (*corev1.Pod, *podstate.Instance, error) {
	pod, snapshot, err := s.pod(r)
	if err != nil {
		return nil, nil, err
	}
	name := r.PathValue("container")
	if render.Find(pod, name) == nil {
		return nil, nil, badRequest("container %q in pod %q is not available", name, pod.Name)
	}
	list := snapshot.Instances[name]
	if previous {
		if i := previousOf(list, pod, name); i != nil {
			return pod, i, nil
		}
		return nil, nil, badRequest("previous terminated container %q in pod %q not found", name, pod.Name)
	}
	if len(list) == 0 {
		return nil, nil, badRequest("container %q in pod %q is waiting to start: %s", name, pod.Name, waitingReason(pod, name))
	}
	return pod, list[0], nil
}

// previousOf is the instance whose logs --previous shows: the one of which the
// status tells the last end, that is the newest itself while it waits to be run
// again. nil where there is none.
func previousOf(list []*podstate.Instance, pod *corev1.Pod, name string) *podstate.Instance {
	if st := podstate.FindStatus(&pod.Status, name); st != nil && st.LastTerminationState.Terminated != nil {
		_, id, _ := strings.Cut(st.LastTerminationState.Terminated.ContainerID, "://")
		for _, i := range list {
			if i.ID() == id {
				return i
			}
		}
	}
	if len(list) > 1 {
		return list[1]
	}
	return nil
}

func waitingReason(pod *corev1.Pod, name string) string {
	st := podstate.FindStatus(&pod.Status, name)
	if st == nil || st.State.Waiting == nil {
		return "ContainerCreating"
	}
	switch st.State.Waiting.Reason {
	case images.ReasonPull:
		return "image can't be pulled"
	case images.ReasonBackOff:
		return "trying and failing to pull image"
	}
	return st.State.Waiting.Reason
}
