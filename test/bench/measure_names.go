package main

import (
	"context"
	"fmt"
	"net"
	"time"

	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// How names are asked for, and how often an answer has to change.
const (
	nameWorkers = 8
	nameTime    = 4 * time.Second
	nameChanges = 30
)

// measureNames asks the cluster DNS by UDP, each client from one socket, and
// tells how soon an answer follows the endpoints.
func measureNames(ctx context.Context, c *cluster) ([]figure, error) {
	service, err := client.For[*corev1.Service](c.client).Get(ctx, metav1.NamespaceSystem, "kube-dns")
	if err != nil {
		return nil, err
	}
	server := net.JoinHostPort(service.Spec.ClusterIP, "53")
	sockets := make(chan *mdns.Conn, nameWorkers)
	for range nameWorkers {
		conn, err := mdns.DialTimeout("udp", server, answerTime)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		sockets <- conn
	}
	begun := time.Now()
	took, err := drive(ctx, nameWorkers, nameTime, func(context.Context, int64) error {
		conn := <-sockets
		defer func() { sockets <- conn }()
		found, err := resolve(conn, "kubernetes.default.svc.cluster.local.")
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("the API has the addresses %v", found)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	rate := float64(len(took)) / time.Since(begun).Seconds()
	label := fmt.Sprintf("a name of the cluster by UDP, %d clients", nameWorkers)
	conn := <-sockets
	followed, err := c.followName(ctx, conn)
	if err != nil {
		return nil, err
	}
	return []figure{
		single(label, "questions/s", "", rate), spread(label+": time of one", "ms", "", took),
		spread("an answer follows the endpoints of its headless Service, from the write", "ms", "100", followed),
	}, nil
}

func resolve(conn *mdns.Conn, name string) ([]string, error) {
	q := new(mdns.Msg)
	q.SetQuestion(name, mdns.TypeA)
	answer, _, err := (&mdns.Client{Timeout: answerTime}).ExchangeWithConn(q, conn)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, rr := range answer.Answer {
		if a, ok := rr.(*mdns.A); ok {
			found = append(found, a.A.String())
		}
	}
	return found, nil
}

// followName gives a Service one endpoint after the other, and tells how long
// each took to be answered.
func (c *cluster) followName(ctx context.Context, conn *mdns.Conn) ([]float64, error) {
	const name = "followed"
	services, slices := client.For[*corev1.Service](c.client), client.For[*discoveryv1.EndpointSlice](c.client)
	if _, err := services.Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Port: 80}}}}); err != nil {
		return nil, err
	}
	slice, err := slices.Create(ctx, sliceOf(name, "10.200.0.1"))
	if err != nil {
		return nil, err
	}
	var took []float64
	for i := range nameChanges {
		address := fmt.Sprintf("10.200.1.%d", i)
		slice = slice.DeepCopy()
		slice.Endpoints[0].Addresses = []string{address}
		begun := time.Now()
		if slice, err = slices.Update(ctx, slice); err != nil {
			return nil, err
		}
		for {
			found, err := resolve(conn, name+"."+namespace+".svc.cluster.local.")
			if err != nil {
				return nil, err
			}
			if len(found) == 1 && found[0] == address {
				break
			}
			if time.Since(begun) > podTime {
				return nil, fmt.Errorf("%s has the addresses %v and not %s", name, found, address)
			}
		}
		took = append(took, milliseconds(time.Since(begun)))
	}
	return took, services.Delete(ctx, namespace, name, metav1.DeleteOptions{})
}

// sliceOf has endpoints at port 80 for a Service that selects none.
func sliceOf(service string, addresses ...string) *discoveryv1.EndpointSlice {
	port, unnamed := int32(80), ""
	out := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &unnamed, Port: &port}},
	}
	for _, a := range addresses {
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return out
}
