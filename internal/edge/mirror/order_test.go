package mirror

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Whoever makes something of what the mirror holds is told of one change at a
// time: of two at once, the one that looked first could have the last word.
func TestListenersAreToldOneByOne(t *testing.T) {
	m := New("", slog.New(slog.DiscardHandler))
	var inside, together atomic.Int32
	m.OnChange(func(Topic, Key) {
		if inside.Add(1) > 1 {
			together.Add(1)
		}
		runtime.Gosched()
		inside.Add(-1)
	})
	var tellers sync.WaitGroup
	for teller := range 4 {
		tellers.Go(func() {
			for i := range 500 {
				meta := metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint(teller, "-", i), Labels: map[string]string{discoveryv1.LabelServiceName: "s"}}
				m.Put(&corev1.Service{ObjectMeta: meta})
				m.Put(&discoveryv1.EndpointSlice{ObjectMeta: meta})
			}
		})
	}
	tellers.Wait()
	if n := together.Load(); n > 0 {
		t.Errorf("%d changes were told while another was", n)
	}
}
