package clients

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// seen counts what an informer told, by the object's name.
type seen struct {
	mu                    sync.Mutex
	added, changed, ended map[string]int // guarded by mu
}

func newSeen() *seen {
	return &seen{added: map[string]int{}, changed: map[string]int{}, ended: map[string]int{}}
}

func (s *seen) handler() cache.ResourceEventHandlerFuncs {
	count := func(in map[string]int, object any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			in[key]++
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { count(s.added, o) },
		UpdateFunc: func(_, o any) { count(s.changed, o) },
		DeleteFunc: func(o any) { count(s.ended, o) },
	}
}

func (s *seen) totals() (added, changed, ended int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.added), len(s.changed), len(s.ended)
}

func configMap(i int, tide string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("berth-%03d", i), Labels: map[string]string{"quay": "north"}},
		Data:       map[string]string{"tide": tide},
	}
}

// An informer that starts amid writes ends up with exactly what is stored,
// and tells each addition and removal once.
func TestInformersSeeEverythingOnce(t *testing.T) {
	api := kubernetes.NewForConfigOrDie(start(t))
	maps := api.CoreV1().ConfigMaps("default")
	const before, after = 40, 40
	for i := range before {
		if _, err := maps.Create(t.Context(), configMap(i, "low"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	factory := informers.NewSharedInformerFactoryWithOptions(api, 0,
		informers.WithNamespace("default"),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "quay=north" }))
	informer, told := factory.Core().V1().ConfigMaps(), newSeen()
	if _, err := informer.Informer().AddEventHandler(told.handler()); err != nil {
		t.Fatal(err)
	}
	factory.StartWithContext(t.Context())
	for i := before; i < before+after; i++ {
		if _, err := maps.Create(t.Context(), configMap(i, "low"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	factory.WaitForCacheSync(t.Context().Done())
	await(t, "80 additions", func(context.Context) error {
		if n, _, _ := told.totals(); n != before+after {
			return fmt.Errorf("%d were told", n)
		}
		return nil
	})

	for i := range before {
		if _, err := maps.Update(t.Context(), configMap(i, "high"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := before; i < before+after; i++ {
		if err := maps.Delete(t.Context(), configMap(i, "").Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "40 changes and 40 removals", func(context.Context) error {
		if _, changed, ended := told.totals(); changed != before || ended != after {
			return fmt.Errorf("%d and %d were told", changed, ended)
		}
		return nil
	})
	held, err := informer.Lister().ConfigMaps("default").List(labels.Everything())
	if err != nil || len(held) != before {
		t.Fatalf("%d are held, %v; want %d", len(held), err, before)
	}
	for _, m := range held {
		if m.Data["tide"] != "high" {
			t.Errorf("%s is held as it was: %v", m.Name, m.Data)
		}
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	for key, n := range told.added {
		if n != 1 || told.ended[key] > 1 {
			t.Errorf("%s was told as added %d times and as removed %d times", key, n, told.ended[key])
		}
	}
}

// An object that leaves an informer's selector is removed from it, and is
// added again when it comes back.
func TestInformersFollowTheirSelector(t *testing.T) {
	api := kubernetes.NewForConfigOrDie(start(t))
	maps := api.CoreV1().ConfigMaps("default")
	factory := informers.NewSharedInformerFactoryWithOptions(api, time.Hour,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "quay=north" }))
	informer, told := factory.Core().V1().ConfigMaps(), newSeen()
	if _, err := informer.Informer().AddEventHandler(told.handler()); err != nil {
		t.Fatal(err)
	}
	factory.StartWithContext(t.Context())
	factory.WaitForCacheSync(t.Context().Done())
	ship := configMap(1, "low")
	for step, quay := range []string{"north", "south", "north"} {
		ship.Labels["quay"] = quay
		var err error
		if step == 0 {
			_, err = maps.Create(t.Context(), ship, metav1.CreateOptions{})
		} else {
			_, err = maps.Update(t.Context(), ship, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	await(t, "two additions and one removal", func(context.Context) error {
		told.mu.Lock()
		defer told.mu.Unlock()
		key := "default/" + ship.Name
		if told.added[key] != 2 || told.ended[key] != 1 {
			return fmt.Errorf("%d and %d were told", told.added[key], told.ended[key])
		}
		return nil
	})
}
