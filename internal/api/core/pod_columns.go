package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

func podColumns() []api.Column {
	spec, status := corev1.PodSpec{}, corev1.PodStatus{}
	return []api.Column{
		column.Name(),
		column.Text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
		column.Text("Status", "The aggregate status of the containers in this pod."),
		column.Text("Restarts", "The number of times the containers in this pod have been restarted "+
			"and when the last container in this pod has restarted."),
		column.Age(),
		column.Wide(column.Text("IP", column.Doc(status, "podIP"))),
		column.Wide(column.Text("Node", column.Doc(spec, "nodeName"))),
		column.Wide(column.Text("Nominated Node", column.Doc(status, "nominatedNodeName"))),
		column.Wide(column.Text("Readiness Gates", column.Doc(spec, "readinessGates"))),
	}
}

func podRow(p *corev1.Pod, now time.Time) []any {
	v := viewPod(p)
	ip := p.Status.PodIP
	if len(p.Status.PodIPs) > 0 {
		ip = p.Status.PodIPs[0].IP
	}
	return []any{
		p.Name,
		fmt.Sprintf("%d/%d", v.ready, v.total),
		v.status,
		restartText(v.restarts, v.lastRestart, now),
		column.Since(p.CreationTimestamp, now),
		column.OrNone(ip),
		column.OrNone(p.Spec.NodeName),
		column.OrNone(p.Status.NominatedNodeName),
		gatesText(p),
	}
}

func restartText(n int, last metav1.Time, now time.Time) string {
	text := strconv.Itoa(n)
	if n > 0 && !last.IsZero() {
		text += " (" + duration.HumanDuration(now.Sub(last.Time)) + " ago)"
	}
	return text
}

func gatesText(p *corev1.Pod) string {
	gates := p.Spec.ReadinessGates
	if len(gates) == 0 {
		return column.None
	}
	ready := 0
	for _, g := range gates {
		if c := podCondition(p, g.ConditionType); c != nil && c.Status == corev1.ConditionTrue {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(gates))
}

func podCondition(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == t {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// podView is a pod summed up for the table.
type podView struct {
	status       string
	ready, total int
	restarts     int
	lastRestart  metav1.Time
	// of sidecars, which count only once initialization is over
	sidecarRestarts    int
	lastSidecarRestart metav1.Time
}

func viewPod(p *corev1.Pod) podView {
	v := podView{status: string(p.Status.Phase), total: len(p.Spec.Containers)}
	if p.Status.Reason != "" {
		v.status = p.Status.Reason
	}
	if c := podCondition(p, corev1.PodScheduled); c != nil && c.Reason == corev1.PodReasonSchedulingGated {
		v.status = corev1.PodReasonSchedulingGated
	}
	sidecars := map[string]bool{}
	for i := range p.Spec.InitContainers {
		if sidecar(&p.Spec.InitContainers[i]) {
			sidecars[p.Spec.InitContainers[i].Name] = true
			v.total++
		}
	}
	initializing := v.initContainers(p, sidecars)
	if !initializing || initialized(p) {
		v.mainContainers(p)
	}
	if p.DeletionTimestamp != nil {
		switch {
		case p.Status.Reason == "NodeLost":
			v.status = "Unknown"
		case p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed:
			v.status = "Terminating"
		}
	}
	return v
}

func initialized(p *corev1.Pod) bool {
	c := podCondition(p, corev1.PodInitialized)
	return c != nil && c.Status == corev1.ConditionTrue
}

func (v *podView) restarted(s *corev1.ContainerStatus) {
	v.restarts += int(s.RestartCount)
	if t := s.LastTerminationState.Terminated; t != nil && v.lastRestart.Before(&t.FinishedAt) {
		v.lastRestart = t.FinishedAt
	}
}

// initContainers sets the status while init containers run, and tells whether
// they do.
func (v *podView) initContainers(p *corev1.Pod, sidecars map[string]bool) bool {
	for i := range p.Status.InitContainerStatuses {
		s := &p.Status.InitContainerStatuses[i]
		v.restarted(s)
		if sidecars[s.Name] {
			v.sidecarRestarts += int(s.RestartCount)
			if t := s.LastTerminationState.Terminated; t != nil && v.lastSidecarRestart.Before(&t.FinishedAt) {
				v.lastSidecarRestart = t.FinishedAt
			}
		}
		switch {
		case s.State.Terminated != nil && s.State.Terminated.ExitCode == 0:
			continue
		case sidecars[s.Name] && s.Started != nil && *s.Started:
			if s.Ready {
				v.ready++
			}
			continue
		case s.State.Terminated != nil:
			v.status = "Init:" + endText(s.State.Terminated)
		case s.State.Waiting != nil && s.State.Waiting.Reason != "" && s.State.Waiting.Reason != "PodInitializing":
			v.status = "Init:" + s.State.Waiting.Reason
		default:
			v.status = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

// endText is why a container ended: its reason, else its signal or code.
func endText(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return "Signal:" + strconv.Itoa(int(t.Signal))
	}
	return "ExitCode:" + strconv.Itoa(int(t.ExitCode))
}

// mainContainers sets the status by the containers, the first one last, since
// it is the one that is shown.
func (v *podView) mainContainers(p *corev1.Pod) {
	v.restarts, v.lastRestart = v.sidecarRestarts, v.lastSidecarRestart
	running := false
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		s := &p.Status.ContainerStatuses[i]
		v.restarted(s)
		switch {
		case s.State.Waiting != nil && s.State.Waiting.Reason != "":
			v.status = s.State.Waiting.Reason
		case s.State.Terminated != nil:
			v.status = endText(s.State.Terminated)
		case s.Ready && s.State.Running != nil:
			running = true
			v.ready++
		}
	}
	if v.status == "Completed" && running {
		v.status = "NotReady"
		if c := podCondition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
			v.status = "Running"
		}
	}
}

func containerNames(list []corev1.Container) (names, images string) {
	var n, im []string
	for _, c := range list {
		n, im = append(n, c.Name), append(im, c.Image)
	}
	return strings.Join(n, ","), strings.Join(im, ",")
}
