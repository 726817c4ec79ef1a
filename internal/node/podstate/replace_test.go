package podstate

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A container whose definition changed is ended by the agent and run again at
// once, whatever its policy and back-off; meanwhile its status waits a moment.
func TestReplacedContainerRunsAgain(t *testing.T) {
	for _, policy := range []corev1.RestartPolicy{"Always", "OnFailure", "Never"} {
		t.Run(string(policy), func(t *testing.T) {
			pod := testPod("a b", policy)
			v := view(t, pod, "vol sandbox run:a run:b image:a")
			v.Crash["a"] = Backoff{Delay: time.Minute, Updated: epoch}
			pod.Spec.Containers[0].Image = "y"
			p := Next(v, epoch)
			if len(p.Actions) != 1 || p.Actions[0].Kind != StopContainer || !p.Actions[0].Replace {
				t.Fatalf("planned %+v, want the old instance stopped to be replaced", p.Actions)
			}
			v = view(t, testPod("a b", policy), "vol sandbox exit:a:0 run:b image:a")
			v.Crash["a"] = Backoff{Delay: time.Minute, Updated: epoch}
			v.Replaced[v.Newest("a").ID()] = true
			if got := words(Next(v, epoch)); len(got) != 1 || got[0] != "start-container:a#1" {
				t.Errorf("planned %v, want it started again", got)
			}
			if Terminal(v, epoch) {
				t.Error("the pod is taken as ended")
			}
		})
	}
}

func TestStatusWaitsForReplacement(t *testing.T) {
	cases := []struct {
		name, words string
		after       time.Duration // since the old instance ended
		waits       bool
	}{
		{"ended just now", "exit:a:0", 0, true},
		{"being started", "exit:a:0 busy:start-container:a", time.Second / 2, true},
		{"runs, its start is not done", "exit:a:0 run:a busy:start-container:a", time.Second / 2, true},
		{"runs again", "exit:a:0 run:a", time.Second / 2, false},
		{"takes too long", "exit:a:0", time.Second, false},
		{"pod ends", "exit:a:0 stop", 0, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			v := view(t, testPod("a", "Always"), "vol sandbox "+tc.words)
			list := v.Instances["a"]
			old := list[len(list)-1]
			v.Replaced[old.ID()] = true
			if got := !Replacing(v, old.Finished().Add(tc.after)).IsZero(); got != tc.waits {
				t.Errorf("waits %v, want %v", got, tc.waits)
			}
			clear(v.Replaced)
			if !Replacing(v, old.Finished()).IsZero() {
				t.Error("a container that ended by itself is waited for")
			}
		})
	}
}

// A clock that is set back while a container waits does not make it wait longer.
func TestBackOffHoldsOverClockJumps(t *testing.T) {
	v := view(t, testPod("a", "Always"), "vol sandbox exit:a:1 image:a")
	i := v.Newest("a")
	i.Status.FinishedAt = epoch.Add(time.Hour).UnixNano() // by the clock before it was set back
	i.EndSeen = epoch.Add(-time.Minute)
	v.Crash["a"] = Backoff{Delay: 40 * time.Second, Updated: epoch.Add(-2 * time.Minute)}
	if got := words(Next(v, epoch)); len(got) != 1 || got[0] != "start-container:a#1" {
		t.Errorf("planned %v, want the container started", got)
	}
	i.EndSeen = epoch.Add(-30 * time.Second)
	if p := Next(v, epoch); len(p.Actions) != 0 || !p.Wake.Equal(epoch.Add(10*time.Second)) {
		t.Errorf("planned %v, wakes at %s", words(p), p.Wake.Sub(epoch))
	}
}
