package policy_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/policy"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const soon = 2 * time.Minute

// recorder is a kernel that keeps what it was told, and refuses when asked to.
type recorder struct {
	mu       sync.Mutex
	subjects [2]map[netip.Addr]string
	edge     netip.Addr
	rebuilt  int
	ended    int
	refuse   int // so many of the next changes
}

func (r *recorder) Standing() (bool, error) { return false, nil }

func (r *recorder) Rebuild(c rules.Change, edge netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rebuilt++
	r.edge = edge
	r.subjects = [2]map[netip.Addr]string{{}, {}}
	return r.applyLocked(c)
}

func (r *recorder) Apply(c rules.Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applyLocked(c)
}

func (r *recorder) applyLocked(c rules.Change) error {
	if r.refuse > 0 {
		r.refuse--
		return errors.New("the test's kernel refuses")
	}
	for d := range 2 {
		for a := range c.DropSubjects[d] {
			delete(r.subjects[d], a)
		}
		for a, chain := range c.SetSubjects[d] {
			r.subjects[d][a] = chain
		}
	}
	return nil
}

func (r *recorder) EndFlows(func(rules.Flow) bool) (uint, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended++
	return 0, nil
}

func (r *recorder) look(f func() bool) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return f()
	}
}

func (r *recorder) judges(d rules.Direction, a netip.Addr) bool {
	return r.look(func() bool { return r.subjects[d][a] != "" })()
}

// counts are how often everything was told, and connections were ended.
func (r *recorder) counts() (rebuilt, ended int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rebuilt, r.ended
}

// lab is an agent of node n1 on a real API.
type lab struct {
	t      *testing.T
	api    *client.Client
	agent  *policy.Agent
	kernel *recorder
}

func start(t *testing.T) *lab {
	t.Helper()
	cluster := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true, CheckMutation: true})
	log := slog.New(slog.DiscardHandler)
	asProxy, asNode := cluster.As("system:kube-proxy"), cluster.As("system:node:n1", "system:nodes")
	all, own := client.NewInformers(asProxy, log), client.NewInformers(asNode, log)
	l := &lab{t: t, api: cluster.Admin, kernel: &recorder{}}
	l.agent = policy.New(policy.Config{Node: "n1", DNS: netip.MustParseAddr("10.96.0.10"), Client: asProxy, Informers: all, Local: own, Kernel: l.kernel, Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	all.Start(ctx)
	own.Start(ctx)
	ended := make(chan error, 1)
	go func() { ended <- l.agent.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		all.Wait()
		own.Wait()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if _, err := client.For[*corev1.ServiceAccount](l.api).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}); err != nil {
		t.Fatal(err)
	}
	wait, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	if err := l.agent.WaitSynced(wait); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) pod(name string) *corev1.Pod {
	l.t.Helper()
	p, err := client.For[*corev1.Pod](l.api).Create(l.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// deny makes a policy that lets nothing come to the pods.
func (l *lab) deny(name string) {
	l.t.Helper()
	_, err := client.For[*networkingv1.NetworkPolicy](l.api).Create(l.t.Context(), &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}})
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) admit(p *corev1.Pod, address string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), soon)
	defer cancel()
	if err := l.agent.Admit(ctx, p, netip.MustParseAddr(address)); err != nil {
		l.t.Fatal(err)
	}
}

func TestNothingIsDoneWithoutPolicies(t *testing.T) {
	l := start(t)
	l.admit(l.pod("a"), "10.0.0.1")
	if rebuilt, _ := l.kernel.counts(); rebuilt != 0 {
		t.Error("the kernel was told something though there is no policy")
	}
	// The first policy finds the pod whose address the API does not know yet.
	l.deny("deny")
	await.Until(t, soon, "the pod is judged", func() bool { return l.kernel.judges(rules.Ingress, netip.MustParseAddr("10.0.0.1")) })
	if l.kernel.judges(rules.Egress, netip.MustParseAddr("10.0.0.1")) {
		t.Error("a policy of ingress says nothing of egress")
	}
}

// Whatever order the watches tell things in, a pod that is admitted is judged.
func TestAdmittedPodsAreJudged(t *testing.T) {
	l := start(t)
	for i := range 20 {
		name := string(rune('a' + i))
		l.deny(name)
		address := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		l.admit(l.pod(name), address.String())
		if !l.kernel.judges(rules.Ingress, address) {
			t.Fatalf("pod %s was admitted and is not judged", name)
		}
	}
}

func TestWhatEndsIsJudgedNoLonger(t *testing.T) {
	l := start(t)
	l.deny("deny")
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	l.admit(l.pod("a"), a.String())
	second := l.pod("b")
	l.admit(second, b.String())
	now := int64(0)
	if err := client.For[*corev1.Pod](l.api).Delete(t.Context(), "default", "a", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	await.Until(t, soon, "the deleted pod is forgotten", func() bool { return !l.kernel.judges(rules.Ingress, a) })
	ended := second.DeepCopy()
	ended.Status.Phase = corev1.PodSucceeded
	if _, err := client.For[*corev1.Pod](l.api).UpdateStatus(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	await.Until(t, soon, "the ended pod is forgotten", func() bool { return !l.kernel.judges(rules.Ingress, b) })
}

// A policy that comes to a pod that runs ends connections; a pod that comes
// under a policy has none.
func TestConnectionsAreEndedWhenPoliciesTighten(t *testing.T) {
	l := start(t)
	l.admit(l.pod("a"), "10.0.0.1")
	l.deny("deny")
	await.Until(t, soon, "connections are ended", l.kernel.look(func() bool { return l.kernel.ended > 0 }))
	_, before := l.kernel.counts()
	l.admit(l.pod("b"), "10.0.0.2")
	if _, ended := l.kernel.counts(); ended != before {
		t.Error("a pod that has just come cost a look at all connections")
	}
}

func TestRefusedChangesAreMadeAnew(t *testing.T) {
	l := start(t)
	l.deny("deny")
	l.admit(l.pod("a"), "10.0.0.1")
	l.kernel.mu.Lock()
	l.kernel.refuse = 1
	rebuilt := l.kernel.rebuilt
	l.kernel.mu.Unlock()
	l.admit(l.pod("b"), "10.0.0.2")
	if now, _ := l.kernel.counts(); now == rebuilt || !l.kernel.judges(rules.Ingress, netip.MustParseAddr("10.0.0.2")) || !l.kernel.judges(rules.Ingress, netip.MustParseAddr("10.0.0.1")) {
		t.Error("after a refused change everything is to be told again")
	}
}

func TestEdgeIsKnownByItsNodesRange(t *testing.T) {
	l := start(t)
	l.deny("deny")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{PodCIDR: "10.7.3.0/24", PodCIDRs: []string{"10.7.3.0/24"}}}
	if _, err := client.For[*corev1.Node](l.api).Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	await.Until(t, soon, "the edge has its address", l.kernel.look(func() bool { return l.kernel.edge == netip.MustParseAddr("10.7.3.1") }))
}
