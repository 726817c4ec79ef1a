package controller_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

// tally sums something up over all pods, at every revision that the API went
// through: events come in the order of the writes.
type tally struct {
	of      func(*corev1.Pod) int64
	reached int64

	mu struct {
		sync.Mutex
		sum, least, most int64
		began            bool
	}
}

// follow begins a tally. Its least value counts from when the sum reached a
// number first.
func follow(c *testkit.Cluster, reached int64, of func(*corev1.Pod) int64) *tally {
	s := &tally{of: of, reached: reached}
	client.InformerFor[*corev1.Pod](c.Informers).OnChange(func(old, new *corev1.Pod) {
		s.mu.Lock()
		defer s.mu.Unlock()
		m := &s.mu
		if old != nil {
			m.sum -= s.of(old)
		}
		if new != nil {
			m.sum += s.of(new)
		}
		m.most = max(m.most, m.sum)
		if !m.began && m.sum >= s.reached {
			m.began, m.least = true, m.sum
		}
		m.least = min(m.least, m.sum)
	})
	return s
}

func (s *tally) bounds() (least, most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.least, s.mu.most
}

func healthy(p *corev1.Pod) int64 {
	if p.DeletionTimestamp != nil {
		return 0
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return 1
		}
	}
	return 0
}

func evict(t *testing.T, c *testkit.Cluster, name string) error {
	t.Helper()
	_, err := client.For[*corev1.Pod](c.Admin).Act(t.Context(), "default", name, "eviction",
		&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}})
	return err
}

// Whoever evicts what and when, and however late the controllers hear of it:
// at no revision are there fewer healthy pods than the budget wants.
func TestBudgetHoldsAgainstManyEvictors(t *testing.T) {
	const replicas, least, evictors, evictions = 6, 4, 4, 24
	c := testkit.Start(t, testkit.Options{Nodes: 3})
	seen := follow(c, replicas, healthy)
	wanted := intstr.FromInt32(least)
	create(t, c, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: labelsOf("web")}, MinAvailable: &wanted},
	})
	create(t, c, deployment("web", replicas))
	rolledOut(t, c, "web")
	var mu sync.Mutex
	gone := 0
	enough := func(more int) bool {
		mu.Lock()
		defer mu.Unlock()
		gone += more
		return gone >= evictions
	}
	var running sync.WaitGroup
	for seed := range evictors {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			for !enough(0) && t.Context().Err() == nil {
				pods := list[*corev1.Pod](t, c, "default", labelsOf("web"))
				if len(pods) == 0 {
					continue
				}
				err := evict(t, c, pods[random.IntN(len(pods))].Name)
				switch {
				case err == nil:
					enough(1)
				case !apierrors.IsTooManyRequests(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err):
					t.Errorf("an eviction: %v", err)
					return
				}
			}
		})
	}
	running.Wait()
	if low, _ := seen.bounds(); low < least {
		t.Errorf("%d pods were healthy at one time, the budget wants %d", low, least)
	}
}

// Pods of all sizes come and go, from several sides at
// once: at no revision do they ask for more than the quota allows.
func TestQuotaIsNeverExceeded(t *testing.T) {
	const hard, writers, steps = 1000, 4, 40
	c := testkit.Start(t, testkit.Options{NoScheduler: true})
	milli := func(p *corev1.Pod) int64 {
		if p.DeletionTimestamp != nil { // its time was over at once: it counts no more
			return 0
		}
		return p.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
	}
	seen := follow(c, 0, milli)
	create(t, c, quotaOf(corev1.ResourceList{"requests.cpu": *resource.NewMilliQuantity(hard, resource.DecimalSI)}))
	var running sync.WaitGroup
	for seed := range writers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(seed), 2))
			pods := client.For[*corev1.Pod](c.Admin)
			for range steps {
				name := fmt.Sprint("p", random.IntN(6)) // writers meet at the same names
				var err error
				switch random.IntN(3) {
				case 0:
					err = pods.Delete(t.Context(), "default", name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
				default:
					pod := podOf(name)
					pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": *resource.NewMilliQuantity(100+random.Int64N(500), resource.DecimalSI)}
					_, err = pods.Create(t.Context(), pod)
				}
				if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
					t.Errorf("pod %s: %v", name, err)
					return
				}
			}
		})
	}
	running.Wait()
	left := int64(0)
	for _, p := range list[*corev1.Pod](t, c, "default", nil) {
		left += milli(p)
	}
	used(t, c, "requests.cpu", fmt.Sprintf("%dm", left))
	if _, most := seen.bounds(); most > hard {
		t.Errorf("%dm were asked for at one time, the quota is %dm", most, hard)
	}
}
