package worker

import (
	"os"
	"slices"
	"sort"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
)

// observe takes in what the runtime told of a sandbox and its containers.
// What it tells may be older than what is known: states only go forward.
func (w *Worker) observe(sandbox *runtimeapi.PodSandboxStatus, containers []*runtimeapi.ContainerStatus) {
	if sandbox != nil && sandbox.GetId() != "" {
		w.observeSandbox(sandbox)
	}
	for _, c := range containers {
		w.observeContainer(sandbox.GetId(), c)
	}
}

func (w *Worker) observeSandbox(s *runtimeapi.PodSandboxStatus) {
	w.firstSeen(s.GetId())
	for i, known := range w.view.Sandboxes {
		if known.GetId() != s.GetId() {
			continue
		}
		if known.GetState() == runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
			return
		}
		if s.GetNetwork().GetIp() == "" {
			s.Network = known.GetNetwork()
		}
		w.view.Sandboxes[i] = s
		return
	}
	w.view.Sandboxes = append(w.view.Sandboxes, s)
	sort.SliceStable(w.view.Sandboxes, func(i, j int) bool {
		return w.view.Sandboxes[i].GetCreatedAt() > w.view.Sandboxes[j].GetCreatedAt()
	})
}

func (w *Worker) observeContainer(sandbox string, c *runtimeapi.ContainerStatus) {
	w.firstSeen(c.GetId())
	name := c.GetMetadata().GetName()
	list := w.view.Instances[name]
	for n, known := range list {
		if known.ID() != c.GetId() {
			continue
		}
		if c.GetState() < known.Status.GetState() && !known.Unknown() || known.Exited() {
			return
		}
		// Instances are shared with nobody; a new one keeps the order.
		list[n] = w.instance(known.SandboxID, c)
		return
	}
	list = append(list, w.instance(sandbox, c))
	sort.SliceStable(list, func(i, j int) bool {
		if a, b := list[i].Attempt(), list[j].Attempt(); a != b {
			return a > b
		}
		return list[i].Status.GetCreatedAt() > list[j].Status.GetCreatedAt()
	})
	w.view.Instances[name] = list
}

func (w *Worker) instance(sandbox string, c *runtimeapi.ContainerStatus) *podstate.Instance {
	i := &podstate.Instance{Status: c, SandboxID: sandbox}
	if i.Exited() {
		i.Message, i.EndSeen = w.terminationMessage(c), time.Now()
		delete(w.view.Resized, c.GetId())
		delete(w.view.ResizeFailed, c.GetId())
		w.tellEnded(c.GetId())
	}
	return i
}

// tellEnded wakes who waits for the instance's end.
func (w *Worker) tellEnded(id string) {
	for _, c := range w.waiters[id] {
		close(c)
	}
	delete(w.waiters, id)
}

func (w *Worker) tellAllEnded() {
	for id := range w.waiters {
		w.tellEnded(id)
	}
	for _, c := range w.idle {
		close(c)
	}
	w.idle = nil
}

// awaitEnd closes c when the instance has ended, or is not known.
func (w *Worker) awaitEnd(id string, c chan struct{}) {
	for _, list := range w.view.Instances {
		for _, i := range list {
			if i.ID() == id && !i.Exited() {
				w.waiters[id] = append(w.waiters[id], c)
				return
			}
		}
	}
	close(c)
}

// leave forgets one that waited for the instance's end.
func (w *Worker) leave(id string, c chan struct{}) {
	left := slices.DeleteFunc(w.waiters[id], func(other chan struct{}) bool { return other == c })
	if w.waiters[id] = left; len(left) == 0 {
		delete(w.waiters, id)
	}
}

func (w *Worker) firstSeen(id string) {
	if _, ok := w.seen[id]; !ok {
		w.seen[id] = time.Now()
	}
}

// forgetContainer takes in that the runtime removed a container.
func (w *Worker) forgetContainer(id string) {
	for name, list := range w.view.Instances {
		for n, i := range list {
			if i.ID() == id {
				w.view.Instances[name] = append(list[:n:n], list[n+1:]...)
				w.tellEnded(id)
				delete(w.view.Probes, id)
				delete(w.view.Resized, id)
				delete(w.view.ResizeFailed, id)
				delete(w.view.Replaced, id)
				delete(w.told, id)
				delete(w.seen, id)
				return
			}
		}
	}
}

// forgetSandbox takes in that the runtime removed a sandbox.
func (w *Worker) forgetSandbox(id string) {
	for n, s := range w.view.Sandboxes {
		if s.GetId() == id {
			w.view.Sandboxes = append(w.view.Sandboxes[:n:n], w.view.Sandboxes[n+1:]...)
			delete(w.seen, id)
			return
		}
	}
}

// event takes in an event of the runtime.
func (w *Worker) event(ev *runtimeapi.ContainerEventResponse) {
	sandbox := ev.GetPodSandboxStatus()
	w.observe(sandbox, ev.GetContainersStatuses())
	if ev.GetContainerEventType() != runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT {
		return
	}
	if ev.GetContainerId() == sandbox.GetId() {
		w.forgetSandbox(ev.GetContainerId())
		return
	}
	w.forgetContainer(ev.GetContainerId())
}

// listing is everything that the runtime holds of one pod.
type listing struct {
	began time.Time
	pods  []podListing
}

type podListing struct {
	sandbox    *runtimeapi.PodSandboxStatus
	containers []*runtimeapi.ContainerStatus
}

// relist takes in a listing: what it lacks and was known before it began is
// gone.
func (w *Worker) relist(l listing) {
	present := map[string]bool{}
	for _, p := range l.pods {
		present[p.sandbox.GetId()] = true
		for _, c := range p.containers {
			present[c.GetId()] = true
		}
		w.observe(p.sandbox, p.containers)
	}
	for id, at := range w.seen {
		if !present[id] && at.Before(l.began) {
			w.forgetContainer(id)
			w.forgetSandbox(id)
		}
	}
}

// Bounds of a termination message, as upstream's: in all and where it is
// taken from the log.
const (
	maxMessage    = 4096
	maxLogMessage = 2048
	maxLogLines   = 80
)

// terminationMessage reads what a container left behind when it ended.
func (w *Worker) terminationMessage(c *runtimeapi.ContainerStatus) string {
	if path := render.MessageFile(c); path != "" {
		if data := readHead(path, maxMessage); len(data) > 0 {
			return string(data)
		}
	}
	policy := c.GetAnnotations()[render.AnnotationMessagePolicy]
	if policy == "FallbackToLogsOnError" && c.GetExitCode() != 0 && c.GetLogPath() != "" {
		return logTail(c.GetLogPath(), maxLogMessage, maxLogLines)
	}
	return ""
}

func readHead(path string, limit int) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	data := make([]byte, limit)
	n, err := f.Read(data)
	if err != nil {
		return nil
	}
	return data[:n]
}
