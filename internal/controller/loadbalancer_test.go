package controller_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	apirequest "github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/testkit"
)

// refusing meets conflicts with the first writes of one Service.
type refusing struct {
	apirequest.Transport
	name string
	left *atomic.Int32
}

func (f refusing) Do(ctx context.Context, req *apirequest.Request) (runtime.Object, error) {
	if req.Verb == apirequest.Update && req.Kind.Resource == "services" && req.Name == f.name && f.left.Add(-1) >= 0 {
		return nil, apierrors.NewConflict(req.Kind.GroupResource(), req.Name, errors.New("somebody else was faster"))
	}
	return f.Transport.Do(ctx, req)
}

// Of three Services the eldest takes a port that the second wants, too. The
// youngest may have the second's other port, also when the eldest was late.
func TestAServiceThatWaitsHoldsNoPortForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
		create(t, c, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here"}, Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}},
		}})
		for _, s := range []struct {
			name  string
			ports []int32
		}{{"eldest", []int32{80}}, {"second", []int32{80, 443}}, {"youngest", []int32{443}}} {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: s.name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
			for _, p := range s.ports {
				svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "p" + time.Duration(p).String(), Port: p})
			}
			create(t, c, svc)
			time.Sleep(time.Second) // virtual
		}
		var left atomic.Int32
		left.Store(3)
		stop := c.Controllers(t, func(under apirequest.Transport) apirequest.Transport { return refusing{under, "eldest", &left} })
		time.Sleep(time.Minute)
		for name, want := range map[string]bool{"eldest": true, "second": false, "youngest": true} {
			svc, _ := get[*corev1.Service](t, c, "default", name)
			if got := len(svc.Status.LoadBalancer.Ingress) > 0; got != want {
				t.Errorf("%s is served: %t, want %t; %+v", name, got, want, svc.Status)
			}
		}
		stop()
	})
}
