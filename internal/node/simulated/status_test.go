package simulated

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/simulated"
)

func always(name string) corev1.Container {
	policy := corev1.ContainerRestartPolicyAlways
	return corev1.Container{Name: name, RestartPolicy: &policy}
}

func ofJob(p *corev1.Pod) {
	yes := true
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	p.OwnerReferences = []metav1.OwnerReference{{Kind: "Job", Name: "j", Controller: &yes}}
}

var playing = rules{endJobs: true}

// shown is what people look at.
type shown struct {
	Phase       corev1.PodPhase
	Ready, More bool            // More: the node has something to do still
	Containers  map[string]bool // ready, by name
}

func look(p *corev1.Pod) shown {
	out := shown{Phase: p.Status.Phase, Ready: conditionOf(p, corev1.PodReady), More: playing.pending(p), Containers: map[string]bool{}}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, c := range list {
			out.Containers[c.Name] = c.Ready
		}
	}
	return out
}

func TestPlay(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*corev1.Pod)
		steps  int
		want   shown
	}{
		{"runs", func(*corev1.Pod) {}, 1, shown{corev1.PodRunning, true, false, map[string]bool{"c": true}}},
		{"with init container and sidecar", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i"}, always("s")}
		}, 1, shown{corev1.PodRunning, true, false, map[string]bool{"c": true, "i": true, "s": true}}},
		{"held", func(p *corev1.Pod) { p.Annotations = map[string]string{simulated.Hold: "yes"} }, 1,
			shown{corev1.PodRunning, false, false, map[string]bool{"c": false}}},
		{"a gate that is shut", func(p *corev1.Pod) { p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "x/y"}} }, 1,
			shown{corev1.PodRunning, false, false, map[string]bool{"c": true}}},
		{"of a Job, at first", ofJob, 1, shown{corev1.PodRunning, true, true, map[string]bool{"c": true}}},
		{"of a Job, at last", ofJob, 2, shown{corev1.PodSucceeded, false, false, map[string]bool{"c": false}}},
		{"on its way out", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, 1, shown{corev1.PodRunning, true, true, map[string]bool{"c": true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "c"}}}}
			p.Status.PodIP = "100.64.0.1"
			c.change(p)
			for range c.steps {
				playing.play(p, "198.18.0.1", metav1.Unix(1000, 0))
			}
			if diff := cmp.Diff(c.want, look(p)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLifetime(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*corev1.Pod)
		want   time.Duration
		ends   bool
	}{
		{"a server", func(*corev1.Pod) {}, 0, false},
		{"of a Job", ofJob, 0, true},
		{"of a Job that takes its time", func(p *corev1.Pod) { ofJob(p); p.Annotations = map[string]string{simulated.RunFor: "3s"} }, 3 * time.Second, true},
		{"nonsense keeps it running", func(p *corev1.Pod) { ofJob(p); p.Annotations = map[string]string{simulated.RunFor: "soon"} }, 0, false},
		{"of nobody", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }, 0, false},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways}}
		c.change(p)
		if d, ends := playing.lifetime(p); d != c.want || ends != c.ends {
			t.Errorf("%s: %v %v", c.name, d, ends)
		}
	}
	job := &corev1.Pod{}
	ofJob(job)
	if _, ends := (rules{}).lifetime(job); ends {
		t.Error("a Job's pod ends although nobody asked for that")
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		index               int
		node, pods, a, wrap string
	}{
		{0, "198.18.0.1", "100.64.0.0/24", "100.64.0.1", "100.64.0.1"},
		{300, "198.18.1.45", "100.65.44.0/24", "100.65.44.1", "100.65.44.1"},
		{MaxNodes - 1, "198.18.64.0", "100.127.255.0/24", "100.127.255.1", "100.127.255.1"},
	} {
		n := &node{index: c.index}
		got := []string{n.address().String(), n.podRange().String(), n.nextPodAddress().String()}
		for range podsOfNode - 3 {
			n.nextPodAddress()
		}
		got = append(got, n.nextPodAddress().String())
		if diff := cmp.Diff([]string{c.node, c.pods, c.a, c.wrap}, got); diff != "" {
			t.Errorf("node %d: %s", c.index, diff)
		}
	}
}
