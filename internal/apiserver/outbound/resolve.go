package outbound

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/store/cache"
)

// Resolve picks a ready endpoint of a Service's port, as host:port. Errors
// are API status errors in upstream's words: not found, or unavailable.
func (c *Client) Resolve(s ServicePort) (string, error) {
	item, found := c.services.Get(s.Namespace, s.Name)
	if !found {
		return "", apierrors.NewNotFound(corev1.Resource("service"), s.Name)
	}
	service := item.Object.(*corev1.Service)
	port, found := portOf(service, s.Number())
	if !found {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", s.Number(), s.Name))
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return net.JoinHostPort(service.Spec.ExternalName, strconv.Itoa(int(s.Number()))), nil
	}
	ready := c.ready(service, port)
	if len(ready) == 0 {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", s.Name))
	}
	return ready[rand.IntN(len(ready))], nil //nolint:gosec // spreads load, protects nothing
}

// portOf finds a Service's port by number. An ExternalName without ports has
// every port.
func portOf(service *corev1.Service, number int32) (name string, found bool) {
	for i := range service.Spec.Ports {
		if p := &service.Spec.Ports[i]; p.Port == number {
			return p.Name, true
		}
	}
	return "", service.Spec.Type == corev1.ServiceTypeExternalName && len(service.Spec.Ports) == 0
}

// ready are the ready endpoints of a Service that have the port.
func (c *Client) ready(service *corev1.Service, port string) []string {
	var out []string
	c.slices.Snapshot().Ascend(service.Namespace, "", "", func(item *cache.Item) bool {
		slice := item.Object.(*discoveryv1.EndpointSlice)
		if slice.Labels[discoveryv1.LabelServiceName] != service.Name || slice.AddressType == discoveryv1.AddressTypeFQDN {
			return true
		}
		if number, has := numberOf(slice, port); has {
			out = appendReady(out, slice, number)
		}
		return true
	})
	return out
}

func appendReady(out []string, slice *discoveryv1.EndpointSlice, port int32) []string {
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		if len(e.Addresses) == 0 || e.Conditions.Ready != nil && !*e.Conditions.Ready {
			continue
		}
		// Whoever may write endpoint slices must not make this server talk to
		// addresses of one link, where metadata services live.
		addr, err := netip.ParseAddr(e.Addresses[0])
		if err != nil || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() {
			continue
		}
		out = append(out, netip.AddrPortFrom(addr, uint16(port)).String())
	}
	return out
}

func numberOf(slice *discoveryv1.EndpointSlice, name string) (int32, bool) {
	for _, p := range slice.Ports {
		if p.Port != nil && (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) {
			return *p.Port, true
		}
	}
	return 0, false
}
