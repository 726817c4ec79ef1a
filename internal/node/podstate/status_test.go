package podstate

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPhase(t *testing.T) {
	cases := []struct {
		name, pod string
		policy    corev1.RestartPolicy
		view      string
		want      corev1.PodPhase
	}{
		{"nothing yet", "a", "Always", "", corev1.PodPending},
		{"init runs", "i a", "Always", "vol sandbox run:i", corev1.PodPending},
		{"one of two runs", "a b", "Always", "vol sandbox run:a", corev1.PodPending},
		{"runs", "a b", "Always", "vol sandbox run:a run:b", corev1.PodRunning},
		{"crashed, to be run again", "a", "Always", "vol sandbox exit:a:1", corev1.PodRunning},
		{"succeeded", "a b", "OnFailure", "vol sandbox exit:a:0 exit:b:0", corev1.PodSucceeded},
		{"one failed", "a b", "Never", "vol sandbox exit:a:0 exit:b:1", corev1.PodFailed},
		{"one still runs", "a b", "Never", "vol sandbox exit:a:1 run:b", corev1.PodRunning},
		{"ended before its start was done", "a", "Never", "vol sandbox exit:a:0 busy:start-container:a", corev1.PodRunning},
		{"init ended before its start was done", "i a", "Never", "vol sandbox exit:i:1 busy:start-container:i", corev1.PodPending},
		{"deleted, ended before its start was done", "a", "Never", "vol sandbox exit:a:0 busy:start-container:a stop", corev1.PodRunning},
		{"its sidecar still runs", "p a", "Never", "vol sandbox run:p exit:a:0", corev1.PodRunning},
		{"its sidecar has ended too", "p a", "Never", "vol sandbox exit:p:0 exit:a:0", corev1.PodSucceeded},
		{"init failed for good", "i a", "Never", "vol sandbox exit:i:1", corev1.PodFailed},
		{"being started again", "a", "Always", "vol sandbox exit:a:1 busy:start-container:a", corev1.PodRunning},
		{"deleted, still runs", "a", "Always", "vol sandbox run:a stop", corev1.PodRunning},
		{"deleted and ended well", "a", "Always", "vol sandbox exit:a:0 stop", corev1.PodSucceeded},
		{"deleted and killed", "a", "Always", "vol sandbox exit:a:137 stop", corev1.PodFailed},
		{"deleted before it ran", "a", "Always", "vol stop", corev1.PodFailed},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := Status(view(t, testPod(tc.pod, tc.policy), tc.view), epoch)
			if s.Phase != tc.want {
				t.Errorf("phase %s, want %s", s.Phase, tc.want)
			}
		})
	}
}

// What nobody may take for the end is not told as one.
func TestPhaseStaysWhileAnythingRuns(t *testing.T) {
	pod := testPod("p a", "Never")
	pod.Status.Phase = corev1.PodRunning
	v := view(t, pod, "vol sandbox run:p exit:a:0")
	if s := Status(v, epoch); s.Phase != corev1.PodRunning {
		t.Errorf("with a sidecar that runs the phase is %s", s.Phase)
	}
	v.Verdict = &Verdict{Reason: "Evicted", Message: "why"}
	if s := Status(v, epoch); s.Phase != corev1.PodRunning || s.Reason != "" || s.Message != "" {
		t.Errorf("evicted, with a sidecar that runs: %s %q %q", s.Phase, s.Reason, s.Message)
	}
	ended := view(t, pod, "vol sandbox exit:p:0 exit:a:0")
	ended.Verdict = v.Verdict
	if s := Status(ended, epoch); s.Phase != corev1.PodFailed || s.Reason != "Evicted" || s.Message != "why" {
		t.Errorf("evicted, all ended: %s %q %q", s.Phase, s.Reason, s.Message)
	}
}

func condition(s *corev1.PodStatus, t corev1.PodConditionType) corev1.PodCondition {
	if c := findCondition(s.Conditions, t); c != nil {
		return *c
	}
	return corev1.PodCondition{}
}

func TestConditions(t *testing.T) {
	v := view(t, testPod("i a b", "Always"), "vol sandbox run:i")
	s := Status(v, epoch)
	if c := condition(&s, corev1.PodInitialized); c.Status != "False" || c.Reason != "ContainersNotInitialized" || c.Message != "containers with incomplete status: [i]" {
		t.Errorf("%+v", c)
	}
	if c := condition(&s, corev1.PodReady); c.Status != "False" || c.Message != "containers with unready status: [a b]" {
		t.Errorf("%+v", c)
	}
	if c := condition(&s, corev1.PodReadyToStartContainers); c.Status != "True" {
		t.Errorf("%+v", c)
	}
	if r := s.ContainerStatuses[0].State.Waiting; r == nil || r.Reason != "PodInitializing" {
		t.Errorf("waiting %+v", r)
	}
}

func TestConditionsKeepTheirTimesAndOthers(t *testing.T) {
	pod := testPod("a", "Always")
	pod.Generation = 4
	v := view(t, pod, "vol sandbox run:a")
	first := Status(v, epoch)
	first.Conditions = append(first.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: "True"})
	next := pod.DeepCopy()
	next.Status = first
	v.Pod = next
	second := Status(v, epoch.Add(time.Hour))
	if len(second.Conditions) != 5 || second.Conditions[4].Type != corev1.PodScheduled {
		t.Fatalf("conditions %+v", second.Conditions)
	}
	for _, c := range second.Conditions[:4] {
		if !c.LastTransitionTime.Time.Equal(epoch) || c.ObservedGeneration != 4 {
			t.Errorf("%+v", c)
		}
	}
}

func TestReadinessGates(t *testing.T) {
	pod := testPod("a", "Always")
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/ok"}}
	v := view(t, pod, "vol sandbox run:a")
	s := Status(v, epoch)
	if c := condition(&s, corev1.PodReady); c.Status != "False" || c.Reason != "ReadinessGatesNotReady" {
		t.Errorf("%+v", c)
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: "example.com/ok", Status: "True"}}
	s = Status(v, epoch)
	if c := condition(&s, corev1.PodReady); c.Status != "True" {
		t.Errorf("%+v", c)
	}
}

func TestCrashLoopStatus(t *testing.T) {
	v := view(t, testPod("a", "Always"), "vol sandbox exit:a:3 exit:a:4")
	v.Crash["a"] = Backoff{Delay: 20 * time.Second, Updated: epoch.Add(-time.Minute)}
	c := Status(v, epoch).ContainerStatuses[0]
	if c.State.Waiting == nil || c.State.Waiting.Reason != "CrashLoopBackOff" ||
		c.State.Waiting.Message != "back-off 20s restarting failed container=a pod=pod_ns(u)" {
		t.Errorf("state %+v", c.State)
	}
	if last := c.LastTerminationState.Terminated; last == nil || last.ExitCode != 4 || c.RestartCount != 1 {
		t.Errorf("last %+v, restarts %d", last, c.RestartCount)
	}
	after := Status(v, epoch.Add(time.Minute)).ContainerStatuses[0]
	if after.State.Terminated == nil || after.State.Terminated.ExitCode != 4 || after.LastTerminationState.Terminated.ExitCode != 3 {
		t.Errorf("after the wait: %+v", after)
	}
}

func TestLostContainer(t *testing.T) {
	pod := testPod("a", "Never")
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "a", ContainerID: "rt://gone", RestartCount: 2,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(epoch)}},
	}}
	for _, events := range []string{"vol stop", "vol", ""} {
		c := Status(view(t, pod, events), epoch).ContainerStatuses[0]
		if c.State.Terminated == nil || c.State.Terminated.Reason != "ContainerStatusUnknown" || c.State.Terminated.ExitCode != 137 {
			t.Errorf("%q: %+v", events, c.State)
		}
	}
}

func TestStartedAndReady(t *testing.T) {
	pod := testPod("a", "Always")
	probe := &corev1.Probe{}
	pod.Spec.Containers[0].StartupProbe, pod.Spec.Containers[0].ReadinessProbe = probe, probe
	v := view(t, pod, "vol sandbox run:a")
	for _, tc := range []struct {
		probe          Probe
		started, ready bool
	}{
		{Probe{}, false, false},
		{Probe{Ready: true}, false, false},
		{Probe{Started: true}, true, false},
		{Probe{Started: true, Ready: true}, true, true},
	} {
		v.Probes["a0"] = tc.probe
		c := Status(v, epoch).ContainerStatuses[0]
		if *c.Started != tc.started || c.Ready != tc.ready {
			t.Errorf("%+v: started %v, ready %v", tc.probe, *c.Started, c.Ready)
		}
	}
}

func TestRestartRules(t *testing.T) {
	pod := testPod("a", "Never")
	always := corev1.ContainerRestartPolicyNever
	pod.Spec.Containers[0].RestartPolicy = &always
	pod.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{
		Action:    corev1.ContainerRestartRuleActionRestart,
		ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}},
	}}
	c := &pod.Spec.Containers[0]
	if !restarts(pod, c, false, 42) || restarts(pod, c, false, 1) {
		t.Error("rules of exit codes are not followed")
	}
	for code, want := range map[string]corev1.PodPhase{"42": corev1.PodRunning, "1": corev1.PodFailed} {
		v := view(t, pod, "vol sandbox exit:a:"+code)
		v.Crash["a"] = Backoff{Delay: 20 * time.Second, Updated: epoch.Add(-time.Minute)}
		if s := Status(v, epoch); s.Phase != want {
			t.Errorf("after exit code %s the phase is %s, want %s", code, s.Phase, want)
		}
	}
}
