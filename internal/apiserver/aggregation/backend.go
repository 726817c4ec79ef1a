package aggregation

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/knarr-io/knarr/internal/apiserver/outbound"
)

const (
	// checkEvery is how often a server that answers is asked again.
	checkEvery = 30 * time.Second
	// firstRetry doubles with each failure, up to checkEvery.
	firstRetry = time.Second
	// checkTimeout bounds one question.
	checkTimeout = 6 * time.Second
)

// backend is another server, for one version of one group. What it is asked
// is fixed; what is known of it changes.
type backend struct {
	service  *registration.APIService // shared and immutable
	endpoint *outbound.Endpoint
	broken   error // why there is no endpoint
	wake     chan struct{}
	stop     context.CancelFunc
	known    atomic.Pointer[knowledge]
}

// knowledge is what the last question gave. It is immutable.
type knowledge struct {
	condition registration.APIServiceCondition
	resources []metav1.APIResource // as they were when the server last answered
	schemas   schemas              // of that time
}

func (k *knowledge) available() bool { return k.condition.Status == registration.ConditionTrue }

func (b *backend) gv() schema.GroupVersion {
	return schema.GroupVersion{Group: b.service.Spec.Group, Version: b.service.Spec.Version}
}

// look makes the server be asked now.
func (b *backend) look() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// newBackend takes over from the APIService's status what was known before.
func (a *Aggregator) newBackend(s *registration.APIService) *backend {
	b := &backend{service: s, wake: make(chan struct{}, 1)}
	first := &knowledge{condition: registration.APIServiceCondition{Type: registration.Available, Status: registration.ConditionUnknown}}
	for _, c := range s.Status.Conditions {
		if c.Type == registration.Available {
			first.condition = c
		}
	}
	b.known.Store(first)
	port := int32(0)
	if s.Spec.Service.Port != nil {
		port = *s.Spec.Service.Port
	}
	b.endpoint, b.broken = a.Client.Endpoint(outbound.Target{
		Service:  &outbound.ServicePort{Namespace: s.Spec.Service.Namespace, Name: s.Spec.Service.Name, Port: port},
		CABundle: s.Spec.CABundle, Insecure: s.Spec.InsecureSkipTLSVerify, ClientCertificate: a.Certificate,
	})
	return b
}

// same tells whether a backend serves a newer state of its APIService too.
func (b *backend) same(s *registration.APIService) bool {
	x, y := &b.service.Spec, &s.Spec
	return x.Group == y.Group && x.Version == y.Version && *x.Service.Port == *y.Service.Port &&
		x.Service.Namespace == y.Service.Namespace && x.Service.Name == y.Service.Name &&
		x.InsecureSkipTLSVerify == y.InsecureSkipTLSVerify && string(x.CABundle) == string(y.CABundle) &&
		x.GroupPriorityMinimum == y.GroupPriorityMinimum && x.VersionPriority == y.VersionPriority && b.service.UID == s.UID
}

// run asks the server again and again until ctx ends.
func (b *backend) run(ctx context.Context, a *Aggregator) {
	if b.endpoint != nil {
		defer b.endpoint.Close()
	}
	retry := firstRetry
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
			retry = firstRetry
		case <-timer.C:
		}
		now := a.ask(ctx, b)
		if ctx.Err() != nil {
			return
		}
		wait := checkEvery
		if !now.available() {
			wait, retry = retry, min(2*retry, checkEvery)
		}
		a.learn(ctx, b, now)
		timer.Reset(wait)
	}
}

// ServeHTTP passes a request on.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.endpoint == nil || !b.known.Load().available() {
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		return
	}
	b.proxy(w, r)
}
