package serviceip

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Ports bounds the node ports; both ends count.
type Ports struct{ First, Last int32 }

// key names a Service, or an IPAddress by its name alone.
type key struct {
	address string
	service reconcile.Key
}

// byPort finds Services by a node port.
const byPort = "held-node-port"

// Controller runs the loop. Make it with New.
type Controller struct {
	ports     Ports
	api       client.Typed[*networkingv1.IPAddress]
	live      client.Typed[*corev1.Service]
	services  *client.Informer[*corev1.Service]
	addresses *client.Informer[*networkingv1.IPAddress]
	ranges    *client.Informer[*networkingv1.ServiceCIDR]
	events    Events
	loop      *reconcile.Controller[key]
}

// Events report under the names that upstream's two repair loops have.
type Events struct{ Addresses, Ports *record.Recorder }

// New wires the controller to its informers.
func New(c *client.Client, inf *client.Informers, ports Ports, events Events, opts reconcile.Options) *Controller {
	r := &Controller{
		ports: ports, api: client.For[*networkingv1.IPAddress](c), live: client.For[*corev1.Service](c),
		services: client.InformerFor[*corev1.Service](inf), addresses: client.InformerFor[*networkingv1.IPAddress](inf),
		ranges: client.InformerFor[*networkingv1.ServiceCIDR](inf), events: events,
	}
	r.loop = reconcile.New("service-ip-repair", r.reconcile, opts)
	r.services.AddIndex(byPort, func(svc *corev1.Service) (out []string) {
		for _, port := range nodePorts(svc) {
			out = append(out, strconv.Itoa(int(port)))
		}
		return out
	})
	r.services.OnChange(r.serviceChanged)
	r.addresses.OnChange(r.addressChanged)
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.services, r.addresses, r.ranges)
}

// settleTime is how long the API server has for the second of its two writes:
// it records an address before it stores the Service, and deletes it after.
const settleTime = 5 * time.Second

// serviceChanged looks at a Service whose addresses or ports changed, and at
// what it may have left behind.
func (r *Controller) serviceChanged(old, new *corev1.Service) {
	if new != nil && (old == nil || !sameClaims(old, new)) {
		r.loop.Enqueue(key{service: reconcile.Key{Namespace: new.Namespace, Name: new.Name}})
	}
	if old == nil || new != nil && sameClaims(old, new) {
		return
	}
	for _, address := range old.Spec.ClusterIPs {
		r.loop.EnqueueAfter(key{address: address}, settleTime)
	}
}

func sameClaims(a, b *corev1.Service) bool {
	return a.UID == b.UID && fmt.Sprint(a.Spec.ClusterIPs, nodePorts(a)) == fmt.Sprint(b.Spec.ClusterIPs, nodePorts(b))
}

func (r *Controller) addressChanged(old, new *networkingv1.IPAddress) {
	changed := new
	if new == nil {
		changed = old
	}
	if new != nil {
		r.loop.EnqueueAfter(key{address: new.Name}, settleTime)
	}
	if ref := changed.Spec.ParentRef; old != nil && ref != nil && ref.Resource == "services" {
		r.loop.Enqueue(key{service: reconcile.Key{Namespace: ref.Namespace, Name: ref.Name}})
	}
}

func (r *Controller) world() world {
	w := world{
		record: func(addr netip.Addr) *networkingv1.IPAddress {
			a, _ := r.addresses.Get("", addr.String())
			return a
		},
		service: func(namespace, name string) *corev1.Service {
			svc, _ := r.services.Get(namespace, name)
			return svc
		},
		portUsers: func(port int32) []*corev1.Service { return r.services.ByIndex(byPort, strconv.Itoa(int(port))) },
		firstPort: r.ports.First, lastPort: r.ports.Last,
	}
	for _, s := range r.ranges.List("", nil) {
		for _, text := range s.Spec.CIDRs {
			if p, err := netip.ParsePrefix(text); err == nil {
				w.ranges = append(w.ranges, p)
			}
		}
	}
	return w
}

func (r *Controller) reconcile(ctx context.Context, k key) (reconcile.Result, error) {
	if k.address != "" {
		left, err := r.clean(ctx, k.address)
		return reconcile.Result{RequeueAfter: left}, err
	}
	return reconcile.Result{}, r.repair(ctx, k.service)
}

func (r *Controller) repair(ctx context.Context, name reconcile.Key) error {
	svc, found := r.services.Get(name.Namespace, name.Name)
	if !found || plan(svc, r.world()).empty() {
		return nil
	}
	// What is to be put right must be wrong at the newest, too: the informers
	// of Services and of addresses are not of one moment.
	svc, err := r.live.Get(ctx, name.Namespace, name.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Service %s: %w", name, err)
	}
	w := r.world()
	w.record = func(addr netip.Addr) *networkingv1.IPAddress {
		a, failed := r.api.Get(ctx, "", addr.String())
		if failed != nil && !apierrors.IsNotFound(failed) {
			err = failed
		}
		if failed != nil {
			return nil
		}
		return a
	}
	out := plan(svc, w)
	if err != nil {
		return fmt.Errorf("read the addresses of Service %s: %w", name, err)
	}
	return r.apply(ctx, svc, out)
}

func (o outcome) empty() bool { return len(o.create)+len(o.replace)+len(o.complaints) == 0 }

func (r *Controller) apply(ctx context.Context, svc *corev1.Service, out outcome) error {
	for _, c := range out.complaints {
		to := r.events.Addresses
		if c.reason == "PortOutOfRange" || c.reason == "PortAlreadyAllocated" {
			to = r.events.Ports
		}
		to.Event(svc, corev1.EventTypeWarning, c.reason, c.message)
	}
	for _, a := range out.replace {
		if err := r.api.Delete(ctx, "", a.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("replace IPAddress %s: %w", a.Name, err)
		}
		out.create = append(out.create, a)
	}
	for _, a := range out.create {
		if _, err := r.api.Create(ctx, a); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("record the address %s: %w", a.Name, err)
		}
	}
	return nil
}

// clean deletes an IPAddress that no Service has, or says when to look again.
func (r *Controller) clean(ctx context.Context, name string) (time.Duration, error) {
	a, found := r.addresses.Get("", name)
	if !found {
		return 0, nil
	}
	w := r.world()
	if leaked(a, w) == nil {
		return 0, nil
	}
	var failed error
	w.service = func(namespace, name string) *corev1.Service {
		svc, err := r.live.Get(ctx, namespace, name)
		if err != nil && !apierrors.IsNotFound(err) {
			failed = err
		}
		if err != nil {
			return nil
		}
		return svc
	}
	why := leaked(a, w)
	if failed != nil {
		return 0, fmt.Errorf("read the Service of IPAddress %s: %w", name, failed)
	}
	if why == nil {
		return 0, nil
	}
	if left := underWay(a, w, time.Now()); left > 0 {
		return left, nil
	}
	r.events.Addresses.Event(a, corev1.EventTypeWarning, why.reason, why.message)
	err := r.api.Delete(ctx, "", name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(a.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return 0, fmt.Errorf("delete IPAddress %s, which nobody has: %w", name, err)
	}
	return 0, nil
}
