package daemonset

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestFits(t *testing.T) {
	taint := func(key string, effect corev1.TaintEffect) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
	}
	for name, c := range map[string]struct {
		spec      func(*corev1.PodSpec)
		node      func(*corev1.Node)
		run, keep bool
	}{
		"plain":                     {run: true, keep: true},
		"another node's name":       {spec: func(s *corev1.PodSpec) { s.NodeName = "other" }},
		"selector":                  {spec: func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"disk": "ssd"} }},
		"taint for new pods":        {node: taint("k", corev1.TaintEffectNoSchedule), keep: true},
		"taint for all pods":        {node: taint("k", corev1.TaintEffectNoExecute)},
		"soft taint":                {node: taint("k", corev1.TaintEffectPreferNoSchedule), run: true, keep: true},
		"not ready":                 {node: taint(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute), run: true, keep: true},
		"cordoned":                  {node: taint(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule), run: true, keep: true},
		"no network":                {node: taint(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule), keep: true},
		"no network, on the host's": {spec: func(s *corev1.PodSpec) { s.HostNetwork = true }, node: taint(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule), run: true, keep: true},
		"tolerated by the template": {spec: func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} }, node: taint("k", corev1.TaintEffectNoExecute), run: true, keep: true},
		"two taints, one is too much": {node: func(n *corev1.Node) {
			taint("a", corev1.TaintEffectNoExecute)(n)
			taint("b", corev1.TaintEffectNoSchedule)(n)
		}},
	} {
		w := newWorld()
		w.node("n")
		if c.spec != nil {
			c.spec(&w.ds.Spec.Template.Spec)
		}
		if c.node != nil {
			c.node(w.nodes["n"])
		}
		if run, keep := newPlacer(w.ds).fits(w.nodes["n"]); run != c.run || keep != c.keep {
			t.Errorf("%s: run %t, keep %t", name, run, keep)
		}
	}
}

func TestPinKeepsThePreferences(t *testing.T) {
	a := &corev1.Affinity{
		PodAntiAffinity: &corev1.PodAntiAffinity{},
		NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution:  &corev1.NodeSelector{},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1}},
		},
	}
	out := pin(a, "n1")
	if nodeOf(&corev1.Pod{Spec: corev1.PodSpec{Affinity: out}}) != "n1" || out.PodAntiAffinity == nil || len(out.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Errorf("pinned: %+v", out)
	}
	if len(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms) != 0 {
		t.Error("the template was changed")
	}
}

func TestBackoffDoublesAndForgets(t *testing.T) {
	var b backoffs
	p, now := spot{"u", "n"}, time.Unix(0, 0)
	var got []time.Duration
	for range 12 {
		b.next(p, now)
		got = append(got, b.left(p, now)/time.Second)
		now = now.Add(b.left(p, now))
	}
	if diff := cmp.Diff([]time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900}, got); diff != "" {
		t.Error(diff)
	}
	now = now.Add(2*mostPause + time.Second)
	if b.left(p, now) != 0 {
		t.Error("waits for what is long past")
	}
	b.next(p, now)
	if got := b.left(p, now); got != time.Second {
		t.Errorf("after a long time without failure: %s", got)
	}
	b.next(spot{"u", "other"}, now.Add(3*mostPause))
	if len(b.last) != 1 {
		t.Errorf("%d places remembered, want 1", len(b.last))
	}
}
