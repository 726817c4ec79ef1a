package stream

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// proxyService passes HTTP on to one of a Service's ready endpoints.
func (s *Streams) proxyService(w http.ResponseWriter, r *http.Request, c endpoint.Connection) error {
	to, err := parseTarget(c.Request.Name)
	if err != nil {
		return apierrors.NewBadRequest("invalid service request " + strconv.Quote(c.Request.Name))
	}
	item, ok := s.services.Get(c.Request.Namespace, to.name)
	if !ok {
		return apierrors.NewNotFound(corev1.Resource("services"), to.name)
	}
	service := item.Object.(*corev1.Service)
	name, err := portName(service, to.port)
	if err != nil {
		return err
	}
	host, port, err := s.pickEndpoint(service, name)
	if err != nil {
		return err
	}
	if err := allowedAddress(host); err != nil {
		return err
	}
	to.port = strconv.Itoa(int(port))
	return s.proxy(w, r, c, to.location(host), s.plain)
}

// portName finds the port that a request means by its name or number; the
// only port needs no name.
func portName(service *corev1.Service, wanted string) (string, error) {
	if wanted == "" {
		if len(service.Spec.Ports) == 1 {
			return service.Spec.Ports[0].Name, nil
		}
		return "", nil
	}
	for i := range service.Spec.Ports {
		p := &service.Spec.Ports[i]
		if p.Name == wanted || strconv.Itoa(int(p.Port)) == wanted {
			return p.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %q found for service %q", wanted, service.Name))
}

// pickEndpoint chooses among the ready endpoints that have the port. Only pods
// are endpoints here: whoever may write slices could lead the server anywhere.
func (s *Streams) pickEndpoint(service *corev1.Service, port string) (host string, number int32, err error) {
	type candidate struct {
		host string
		port int32
	}
	var ready []candidate
	s.slices.Snapshot().Ascend(service.Namespace, "", "", func(item *cache.Item) bool {
		slice := item.Object.(*discoveryv1.EndpointSlice)
		if slice.Labels[discoveryv1.LabelServiceName] != service.Name || slice.AddressType == discoveryv1.AddressTypeFQDN {
			return true
		}
		number, ok := slicePort(slice, port)
		if !ok {
			return true
		}
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) && s.isPod(service.Namespace, e) {
				ready = append(ready, candidate{e.Addresses[0], number})
			}
		}
		return true
	})
	if len(ready) == 0 {
		return "", 0, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", service.Name))
	}
	chosen := ready[rand.IntN(len(ready))] //nolint:gosec // spreads load, protects nothing
	return chosen.host, chosen.port, nil
}

// isPod tells whether an endpoint is at the address of the pod that it names.
func (s *Streams) isPod(namespace string, e *discoveryv1.Endpoint) bool {
	if e.TargetRef == nil || e.TargetRef.Namespace != namespace {
		return false
	}
	item, ok := s.pods.Get(namespace, e.TargetRef.Name)
	if !ok {
		return false
	}
	status := &item.Object.(*corev1.Pod).Status
	return status.PodIP == e.Addresses[0] ||
		slices.Contains(status.PodIPs, corev1.PodIP{IP: e.Addresses[0]})
}

func slicePort(slice *discoveryv1.EndpointSlice, name string) (int32, bool) {
	for _, p := range slice.Ports {
		if p.Port != nil && (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) {
			return *p.Port, true
		}
	}
	return 0, false
}
