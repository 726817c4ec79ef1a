package core

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func waiting(reason string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
}

func terminated(t corev1.ContainerStateTerminated) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &t}
}

func running() corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
}

func TestPodRow(t *testing.T) {
	now := time.Date(2024, 1, 2, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }
	always := corev1.ContainerRestartPolicyAlways
	yes := true
	base := func() *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "p", CreationTimestamp: ago(5 * time.Minute)},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning},
		}
	}
	tests := []struct {
		name string
		set  func(p *corev1.Pod)
		want []any // ready, status, restarts
	}{
		{"running", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Ready: true, State: running()}, {State: running()}}
		}, []any{"1/2", "Running", "0"}},
		{"the first container's reason is shown", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: waiting("ErrImagePull")}, {State: waiting("CrashLoopBackOff")}}
		}, []any{"0/2", "ErrImagePull", "0"}},
		{"exit code, signal and the last restart", func(p *corev1.Pod) {
			last := terminated(corev1.ContainerStateTerminated{FinishedAt: ago(90 * time.Second)})
			p.Status.ContainerStatuses = []corev1.ContainerStatus{
				{State: terminated(corev1.ContainerStateTerminated{ExitCode: 3}), RestartCount: 2, LastTerminationState: last},
				{State: terminated(corev1.ContainerStateTerminated{Signal: 9}), RestartCount: 1},
			}
		}, []any{"0/2", "ExitCode:3", "3 (90s ago)"}},
		{"completed beside a running container", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{
				{State: terminated(corev1.ContainerStateTerminated{Reason: "Completed"})}, {Ready: true, State: running()},
			}
		}, []any{"1/2", "NotReady", "0"}},
		{"completed, and the pod is ready", func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{
				{State: terminated(corev1.ContainerStateTerminated{Reason: "Completed"})}, {Ready: true, State: running()},
			}
		}, []any{"1/2", "Running", "0"}},
		{"initializing", func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodPending
			p.Spec.InitContainers = []corev1.Container{{Name: "x"}, {Name: "y"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{
				{Name: "x", State: terminated(corev1.ContainerStateTerminated{}), RestartCount: 1}, {Name: "y", State: waiting("PodInitializing")},
			}
		}, []any{"0/2", "Init:1/2", "1"}},
		{"an init container fails", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "x"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "x", State: terminated(corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"})}}
		}, []any{"0/2", "Init:Error", "0"}},
		{"an init container waits", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "x"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "x", State: waiting("CrashLoopBackOff")}}
		}, []any{"0/2", "Init:CrashLoopBackOff", "0"}},
		{"a sidecar counts", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "x", RestartPolicy: &always}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "x", Started: &yes, Ready: true, State: running(), RestartCount: 4}}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Ready: true, State: running()}, {Ready: true, State: running(), RestartCount: 1}}
		}, []any{"3/3", "Running", "5"}},
		{"terminating", func(p *corev1.Pod) { p.DeletionTimestamp = &now1 }, []any{"0/2", "Terminating", "0"}},
		{"finished and deleted", func(p *corev1.Pod) {
			p.DeletionTimestamp = &now1
			p.Status.Phase = corev1.PodSucceeded
		}, []any{"0/2", "Succeeded", "0"}},
		{"node lost", func(p *corev1.Pod) {
			p.DeletionTimestamp = &now1
			p.Status.Reason = "NodeLost"
		}, []any{"0/2", "Unknown", "0"}},
		{"evicted", func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodFailed
			p.Status.Reason = "Evicted"
		}, []any{"0/2", "Evicted", "0"}},
		{"gated", func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodPending
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Reason: corev1.PodReasonSchedulingGated}}
		}, []any{"0/2", "SchedulingGated", "0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := base()
			tt.set(p)
			if diff := cmp.Diff(tt.want, podRow(p, now)[1:4]); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

var now1 = metav1.NewTime(time.Date(2024, 1, 2, 11, 0, 0, 0, time.UTC))

func TestPodRowWide(t *testing.T) {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", CreationTimestamp: now1},
		Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "a"}},
			ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "x"}, {ConditionType: "y"}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending, PodIPs: []corev1.PodIP{{IP: "10.244.0.3"}},
			Conditions: []corev1.PodCondition{{Type: "x", Status: corev1.ConditionTrue}}},
	}
	want := []any{"p", "0/1", "Pending", "0", "2d3h", "10.244.0.3", "n", "<none>", "1/2"}
	if diff := cmp.Diff(want, podRow(p, now1.Add(51*time.Hour))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
