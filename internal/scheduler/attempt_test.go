package scheduler

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
	"github.com/knarr-io/knarr/internal/testkit/property"
)

// bare is a scheduler's state without its wiring.
func bare() (*Scheduler, *profile) {
	s := &Scheduler{cluster: newCluster(), placed: map[types.UID]placement{}, nominated: newNominations(), random: rand.New(rand.NewPCG(1, 2))}
	return s, newProfile(Profile{Name: "p", Plugins: plugins.Default(plugins.Sources{})}, nil)
}

// choosing is a scheduler over empty nodes, whose plugins look things up in from.
func choosing(from plugins.Sources, nodes ...string) (*Scheduler, *profile) {
	s, _ := bare()
	for _, n := range nodes {
		s.cluster.set(newNode(n))
	}
	return s, newProfile(Profile{Name: "p", Plugins: plugins.Default(from)}, nil)
}

// choice is where a pod goes and what it needs there, or why it goes nowhere.
func choice(s *Scheduler, p *profile, pod *corev1.Pod) (node string, n needs, why string) {
	tr, at, failure := s.choose(p, framework.NewPod(pod))
	if failure != nil {
		return "", needs{}, failure.Error()
	}
	return at.Name, p.plan(tr, at), ""
}

func amounts(cpu, memory string, pods string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory), corev1.ResourcePods: resource.MustParse(pods),
	}
}

func newNode(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status:     corev1.NodeStatus{Allocatable: amounts("4", "32Gi", "110")},
	}
	for _, fn := range change {
		fn(n)
	}
	return n
}

func newPod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Image: "i",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
			}},
		}}},
	}
	for _, fn := range change {
		fn(p)
	}
	return p
}

func cpu(amount string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse(amount)
	}
}

func TestFailureTexts(t *testing.T) {
	cases := []struct {
		name  string
		nodes []*corev1.Node
		pod   *corev1.Pod
		want  string
	}{
		{"no nodes", nil, newPod("p"), "no nodes available to schedule pods"},
		{
			"several reasons, sorted",
			[]*corev1.Node{
				newNode("a"), newNode("b"),
				newNode("c", func(n *corev1.Node) {
					n.Spec.Taints = []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}}
				}),
				newNode("d", func(n *corev1.Node) { n.Spec.Unschedulable = true }),
			},
			newPod("p", cpu("5")),
			"0/4 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 2 Insufficient cpu.",
		},
		{
			"two shortages of one node",
			[]*corev1.Node{newNode("a", func(n *corev1.Node) { n.Status.Allocatable = amounts("50m", "1Mi", "110") })},
			newPod("p"),
			"0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.",
		},
		{
			"selector",
			[]*corev1.Node{newNode("a")},
			newPod("p", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }),
			"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
		},
		{
			"extended resource and full node",
			[]*corev1.Node{newNode("a", func(n *corev1.Node) { n.Status.Allocatable = amounts("4", "1Gi", "0") })},
			newPod("p", func(p *corev1.Pod) {
				p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse("1")
			}),
			"0/1 nodes are available: 1 Insufficient example.com/gpu, 1 Too many pods.",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, p := bare()
			for _, n := range c.nodes {
				s.cluster.set(n)
			}
			_, node, failure := s.choose(p, framework.NewPod(c.pod))
			if node != nil || failure == nil {
				t.Fatalf("chose %v", node)
			}
			if diff := cmp.Diff(c.want, failure.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChoiceOfNode(t *testing.T) {
	soft := func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectPreferNoSchedule}}
	}
	image := func(n *corev1.Node) {
		n.Status.Images = []corev1.ContainerImage{{Names: []string{"i:latest"}, SizeBytes: 900 << 20}}
	}
	prefer := func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
			Weight:     10,
			Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"b"}}}},
		}}}}
	}
	port := func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} }
	cases := []struct {
		name  string
		nodes []*corev1.Node
		there map[string]*corev1.Pod
		pod   *corev1.Pod
		want  string
	}{
		{"least allocated", []*corev1.Node{newNode("a"), newNode("b")}, map[string]*corev1.Pod{"a": newPod("x", cpu("2"))}, newPod("p"), "b"},
		{"fewer soft taints", []*corev1.Node{newNode("a", soft), newNode("b")}, nil, newPod("p"), "b"},
		{"image is there", []*corev1.Node{newNode("a"), newNode("b", image)}, nil, newPod("p"), "b"},
		{"preferred affinity", []*corev1.Node{newNode("a"), newNode("b"), newNode("c")}, nil, newPod("p", prefer), "b"},
		{"port taken", []*corev1.Node{newNode("a"), newNode("b")}, map[string]*corev1.Pod{"a": newPod("x", port)}, newPod("p", port), "b"},
		{"tolerates cordon", []*corev1.Node{newNode("a", func(n *corev1.Node) { n.Spec.Unschedulable = true })}, nil,
			newPod("p", func(p *corev1.Pod) {
				p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
			}), "a"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, p := bare()
			for _, n := range c.nodes {
				s.cluster.set(n)
			}
			for node, pod := range c.there {
				s.cluster.addPod(node, pod, framework.UsageOf(pod))
			}
			_, node, failure := s.choose(p, framework.NewPod(c.pod))
			if failure != nil || node.Name != c.want {
				t.Errorf("chose %v (%v), want %s", node, failure, c.want)
			}
		})
	}
}

func TestSample(t *testing.T) {
	for nodes, want := range map[int]int{1: 1, 99: 99, 100: 100, 200: 100, 1000: 420, 5000: 500, 15000: 750} {
		if got := sample(nodes, 0); got != want {
			t.Errorf("of %d nodes: %d, want %d", nodes, got, want)
		}
	}
}

// TestCountsFollowPods: whatever comes and goes in whatever order, a node's
// counts are those of the pods that are there.
func TestCountsFollowPods(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		c := newCluster()
		there := map[string]string{} // node by pod
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			node := fmt.Sprint("n", rapid.IntRange(0, 3).Draw(t, "node"))
			pod := fmt.Sprint("p", rapid.IntRange(0, 9).Draw(t, "pod"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				c.set(newNode(node))
			case 1:
				c.remove(node)
			case 2:
				if old, ok := there[pod]; ok {
					c.removePod(old, types.UID(pod))
				}
				c.addPod(node, newPod(pod), framework.UsageOf(newPod(pod)))
				there[pod] = node
			case 3:
				c.removePod(there[pod], types.UID(pod))
				delete(there, pod)
			}
		}
		count := map[string]int64{}
		for _, node := range there {
			count[node]++
		}
		for name, n := range c.byName {
			if n.Requested.MilliCPU != 100*count[name] || int64(n.Pods()) != count[name] {
				t.Fatalf("%s counts %d pods and %d mCPU, want %d pods", name, n.Pods(), n.Requested.MilliCPU, count[name])
			}
		}
	})
}

func BenchmarkSchedule(b *testing.B) {
	anywhere := func(*corev1.Pod) {}
	byLabel := func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"type": "large"} }
	for name, change := range map[string]func(*corev1.Pod){"anywhere": anywhere, "by label": byLabel} {
		for _, nodes := range []int{100, 1000, 5000} {
			b.Run(fmt.Sprintf("%s/nodes=%d", name, nodes), func(b *testing.B) {
				s, p := bare()
				for i := range nodes {
					s.cluster.set(newNode(fmt.Sprint("n", i), func(n *corev1.Node) {
						n.Labels[corev1.LabelTopologyZone] = fmt.Sprint("z", i%3)
						n.Labels["type"] = "large"
						n.Status.Allocatable = amounts("1000", "2000Gi", "1000000")
					}))
				}
				b.ResetTimer()
				for i := range b.N {
					pod := framework.NewPod(newPod(fmt.Sprint("p", i), change))
					_, node, failure := s.choose(p, pod)
					if failure != nil {
						b.Fatal(failure)
					}
					s.assume(pod, node)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
			})
		}
	}
}
