package networking

import (
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// Ingress routes HTTP from outside to services.
func Ingress() *api.Kind {
	return api.Spec[*networkingv1.Ingress]{
		Group: group, Version: version, Name: "Ingress",
		Resource: "ingresses", Singular: "ingress", ShortNames: []string{"ing"},
		Namespaced: true,
		New:        func() *networkingv1.Ingress { return &networkingv1.Ingress{} },
		NewList:    func() runtime.Object { return &networkingv1.IngressList{} },
		Main:       ingressRules(), Status: ingressStatusRules(),
		Columns: []api.Column{
			column.Name(),
			column.Text("Class", "The name of the IngressClass resource that should be used for additional configuration"),
			column.Text("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
			column.Text("Address", "Address is a list containing ingress points for the load-balancer"),
			column.Text("Ports", "Ports of TLS configurations that open"),
			column.Age(),
		},
		Row:                 ingressRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func ingressRow(i *networkingv1.Ingress, now time.Time) []any {
	class := column.None
	if i.Spec.IngressClassName != nil {
		class = *i.Spec.IngressClassName
	}
	ports := "80"
	if len(i.Spec.TLS) > 0 {
		ports = "80, 443"
	}
	return []any{
		i.Name, class, ingressHosts(i.Spec.Rules), ingressAddress(i.Status.LoadBalancer.Ingress), ports,
		column.Since(i.CreationTimestamp, now),
	}
}

// ingressHosts names the first three hosts and counts the others.
func ingressHosts(rules []networkingv1.IngressRule) string {
	var hosts []string
	for _, r := range rules {
		if r.Host != "" {
			hosts = append(hosts, r.Host)
		}
	}
	if len(hosts) == 0 {
		return "*"
	}
	return firstOf(hosts, 3)
}

// ingressAddress names each of them once, in order.
func ingressAddress(points []networkingv1.IngressLoadBalancerIngress) string {
	var out []string
	for _, p := range points {
		switch {
		case p.IP != "":
			out = append(out, p.IP)
		case p.Hostname != "":
			out = append(out, p.Hostname)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}
