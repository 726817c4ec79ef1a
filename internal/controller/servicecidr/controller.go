package servicecidr

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	api       client.Typed[*networkingv1.ServiceCIDR]
	live      client.Typed[*networkingv1.IPAddress]
	ranges    *client.Informer[*networkingv1.ServiceCIDR]
	addresses *client.Informer[*networkingv1.IPAddress]
	loop      *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers. It decides with one worker, so
// that no two ranges go because each covers the other.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	r := &Controller{
		api: client.For[*networkingv1.ServiceCIDR](c), live: client.For[*networkingv1.IPAddress](c),
		ranges: client.InformerFor[*networkingv1.ServiceCIDR](inf), addresses: client.InformerFor[*networkingv1.IPAddress](inf),
	}
	opts.Workers = 1
	r.loop = reconcile.New("service-cidr", r.reconcile, opts)
	r.ranges.OnChange(r.rangeChanged)
	r.addresses.OnChange(r.addressChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.ranges, r.addresses)
}

// rangeChanged wakes the range and those that share addresses with it.
func (r *Controller) rangeChanged(old, new *networkingv1.ServiceCIDR) {
	changed := new
	if new == nil {
		changed = old
	}
	r.loop.Enqueue(reconcile.Key{Name: changed.Name})
	if old != nil && new != nil {
		return
	}
	for _, other := range r.ranges.List("", nil) {
		if touches(changed, other) {
			r.loop.Enqueue(reconcile.Key{Name: other.Name})
		}
	}
}

// addressChanged wakes ranges that go and hold the address: ranges are few.
func (r *Controller) addressChanged(old, new *networkingv1.IPAddress) {
	if old != nil && new != nil {
		return
	}
	changed := new
	if new == nil {
		changed = old
	}
	addr, err := netip.ParseAddr(changed.Name)
	if err != nil {
		return
	}
	for _, held := range r.ranges.List("", nil) {
		if held.DeletionTimestamp != nil && contains(held, addr) {
			r.loop.Enqueue(reconcile.Key{Name: held.Name})
		}
	}
}

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	have, found := r.ranges.Get("", key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	out := plan(have, time.Now(), func() bool { return needed(have, r.ranges.List("", nil), r.addresses.List("", nil)) })
	if out.next == nil {
		return reconcile.Result{RequeueAfter: out.again}, nil
	}
	if letGo(out.next) {
		all, inUse, err := r.newest(ctx)
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("let ServiceCIDR %s go: %w", key.Name, err)
		}
		if out = plan(have, time.Now(), func() bool { return needed(have, all, inUse) }); out.next == nil {
			return reconcile.Result{RequeueAfter: out.again}, nil
		}
	}
	err := r.write(ctx, have, out.next)
	if apierrors.IsNotFound(err) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("write ServiceCIDR %s: %w", key.Name, err)
	}
	return reconcile.Result{RequeueAfter: out.again}, err
}

// newest is what the informers may not show yet: the range that was to cover
// the addresses of this one may have been let go just now.
func (r *Controller) newest(ctx context.Context) ([]*networkingv1.ServiceCIDR, []*networkingv1.IPAddress, error) {
	ranges, _, err := r.api.List(ctx, "", metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	addresses, _, err := r.live.List(ctx, "", metav1.ListOptions{})
	return ranges, addresses, err
}

// write puts the finalizer on before the status says that the range is ready.
func (r *Controller) write(ctx context.Context, have, next *networkingv1.ServiceCIDR) error {
	status := next.Status
	if !slices.Equal(have.Finalizers, next.Finalizers) {
		written, err := r.api.Update(ctx, next)
		if err != nil {
			return err
		}
		next = written.DeepCopy()
	}
	if equality.Semantic.DeepEqual(have.Status, status) {
		return nil
	}
	next.Status = status
	_, err := r.api.UpdateStatus(ctx, next)
	return err
}
