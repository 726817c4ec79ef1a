package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// away is an API server that fails some requests and takes the others.
type away struct {
	request.Transport
	fails int
	asked []time.Time
}

func (a *away) Do(_ context.Context, _ *request.Request) (runtime.Object, error) {
	a.asked = append(a.asked, time.Now())
	if len(a.asked) <= a.fails {
		return nil, errors.New("connection refused")
	}
	return &networkingv1.Ingress{}, nil
}

// The address of an Ingress is shown though the API server was away when it
// was to be written, and nothing has changed since.
func TestStatusIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, server, class := mirror.New("", slog.New(slog.DiscardHandler)), &away{fails: 2}, "knarr"
		s := NewStatus(m, client.New(server, catalog.New()), slog.New(slog.DiscardHandler))
		m.Put(&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Spec: networkingv1.IngressClassSpec{Controller: Controller}})
		m.Put(&networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: networkingv1.IngressSpec{IngressClassName: &class}})
		s.Show(netip.MustParseAddr("192.0.2.1"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := len(server.asked); n != 3 || server.asked[2].Sub(server.asked[1]) < time.Second {
			t.Errorf("written %d times, at %v", n, server.asked)
		}
	})
}
