package ingress

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// showAgain is the pause after addresses could not all be shown.
const showAgain = 10 * time.Second

// Status writes the address at which Ingresses are served into their status.
type Status struct {
	mirror  *mirror.Mirror
	client  *client.Client
	address atomic.Value // of string; none until Show
	logger  *slog.Logger
	wake    chan struct{}
}

// NewStatus makes it and follows the mirror, which must not be fed yet.
func NewStatus(m *mirror.Mirror, c *client.Client, logger *slog.Logger) *Status {
	s := &Status{mirror: m, client: c, logger: logger, wake: make(chan struct{}, 1)}
	m.OnChange(func(topic mirror.Topic, _ mirror.Key) {
		if topic == mirror.Ingress || topic == mirror.Class {
			s.look()
		}
	})
	return s
}

// Show has the status of every Ingress tell the address.
func (s *Status) Show(address netip.Addr) {
	s.address.Store(address.String())
	s.look()
}

func (s *Status) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends. A write that fails is tried again a moment later;
// the status is information, traffic does not wait for it.
func (s *Status) Run(ctx context.Context) error {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-again:
		}
		again = nil
		address, _ := s.address.Load().(string)
		if address == "" {
			continue
		}
		for _, ing := range Ours(s.mirror.Ingresses(), s.mirror.Classes()) {
			if !shown(ing, address) && !s.write(ctx, ing, address) {
				again = time.After(showAgain)
			}
		}
	}
}

func shown(ing *networkingv1.Ingress, address string) bool {
	lb := ing.Status.LoadBalancer.Ingress
	return len(lb) == 1 && lb[0].IP == address
}

// write tells whether nothing is left to be written.
func (s *Status) write(ctx context.Context, ing *networkingv1.Ingress, address string) bool {
	patch, err := json.Marshal(map[string]any{"status": networkingv1.IngressStatus{
		LoadBalancer: networkingv1.IngressLoadBalancerStatus{Ingress: []networkingv1.IngressLoadBalancerIngress{{IP: address}}},
	}})
	if err == nil {
		_, err = client.For[*networkingv1.Ingress](s.client).Patch(ctx, ing.Namespace, ing.Name, types.MergePatchType, patch, "status")
	}
	if err == nil || apierrors.IsNotFound(err) || ctx.Err() != nil {
		return true
	}
	s.logger.Warn("the address of an Ingress could not be shown in its status", "namespace", ing.Namespace, "ingress", ing.Name, "error", err)
	return false
}
