package aggregation

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/knarr-io/knarr/internal/store/cache"
)

const (
	// maxResources bounds the list of resources that a server answers with.
	maxResources = 4 << 20
	// attempts are the tries of one question: endpoints differ.
	attempts = 3
)

// verdict is a condition without its time.
type verdict struct {
	status          registration.ConditionStatus
	reason, message string
}

func no(reason, format string, args ...any) *verdict {
	return &verdict{registration.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

// ask finds out whether a server can be reached, and what it serves.
func (a *Aggregator) ask(ctx context.Context, b *backend) *knowledge {
	before := b.known.Load()
	verdict, resources, docs := a.reachable(b.service), before.resources, before.schemas
	if verdict == nil && b.broken != nil {
		verdict = no("FailedDiscoveryCheck", "the APIService cannot be used: %v", b.broken)
	}
	if verdict == nil {
		list, err := b.discover(ctx)
		if err != nil {
			verdict = no("FailedDiscoveryCheck", "failing or missing response from %s: %v", b.discoveryURL(), err)
		} else {
			if len(docs.v3) == 0 || !reflect.DeepEqual(list, resources) {
				docs = b.readSchemas(ctx)
			}
			verdict, resources = passed(), list
		}
	}
	now := registration.APIServiceCondition{Type: registration.Available, Status: verdict.status, Reason: verdict.reason, Message: verdict.message,
		LastTransitionTime: before.condition.LastTransitionTime}
	if before.condition.Status != now.Status {
		now.LastTransitionTime = metav1.Now().Rfc3339Copy()
	}
	return &knowledge{condition: now, resources: resources, schemas: docs}
}

func passed() *verdict {
	return &verdict{registration.ConditionTrue, "Passed", "all checks passed"}
}

// reachable looks at the Service and its endpoints; nil: they are there.
func (a *Aggregator) reachable(s *registration.APIService) *verdict {
	ref := s.Spec.Service
	item, found := a.services.Get(ref.Namespace, ref.Name)
	if !found {
		return no("ServiceNotFound", "service/%s in %q is not present", ref.Name, ref.Namespace)
	}
	service := item.Object.(*corev1.Service)
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	name, found := portOf(service, *ref.Port)
	if !found {
		return no("ServicePortError", "service/%s in %q is not listening on port %d", ref.Name, ref.Namespace, *ref.Port)
	}
	switch slices, ready := a.count(service, name); {
	case slices == 0:
		return no("EndpointsNotFound", "cannot find endpointslices for service/%s in %q", ref.Name, ref.Namespace)
	case ready == 0:
		return no("MissingEndpoints", "endpointslices for service/%s in %q have no addresses with port name %q", ref.Name, ref.Namespace, name)
	}
	return nil
}

func portOf(service *corev1.Service, number int32) (name string, found bool) {
	for i := range service.Spec.Ports {
		if p := &service.Spec.Ports[i]; p.Port == number {
			return p.Name, true
		}
	}
	return "", false
}

// count gives the slices of a Service, and its ready endpoints with a port.
func (a *Aggregator) count(service *corev1.Service, port string) (slices, ready int) {
	a.endpoints.Snapshot().Ascend(service.Namespace, "", "", func(item *cache.Item) bool {
		slice := item.Object.(*discoveryv1.EndpointSlice)
		if slice.Labels[discoveryv1.LabelServiceName] != service.Name {
			return true
		}
		slices++
		if !hasPort(slice, port) {
			return true
		}
		for i := range slice.Endpoints {
			if e := &slice.Endpoints[i]; len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				ready++
			}
		}
		return true
	})
	return slices, ready
}

func hasPort(slice *discoveryv1.EndpointSlice, name string) bool {
	for _, p := range slice.Ports {
		if p.Port != nil && (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) {
			return true
		}
	}
	return false
}

func (b *backend) discoveryURL() string {
	at := b.endpoint.URL()
	at.Path = "/apis/" + b.gv().String()
	return at.String()
}

// discover reads the resources that the server answers for.
func (b *backend) discover(ctx context.Context) (list []metav1.APIResource, err error) {
	for range attempts {
		if list, err = b.discoverOnce(ctx); err == nil || ctx.Err() != nil {
			return list, err
		}
	}
	return nil, err
}

func (b *backend) discoverOnce(ctx context.Context) ([]metav1.APIResource, error) {
	body, err := b.get(ctx, "/apis/"+b.gv().String(), maxResources)
	if err != nil {
		return nil, err
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("the list of resources cannot be read: %w", err)
	}
	return list.APIResources, nil
}
