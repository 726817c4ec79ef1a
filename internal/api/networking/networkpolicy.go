package networking

import (
	"fmt"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// NetworkPolicy says who may talk to the pods that it selects.
func NetworkPolicy() *api.Kind {
	return api.Spec[*networkingv1.NetworkPolicy]{
		Group: group, Version: version, Name: "NetworkPolicy",
		Resource: "networkpolicies", Singular: "networkpolicy", ShortNames: []string{"netpol"},
		Namespaced: true,
		New:        func() *networkingv1.NetworkPolicy { return &networkingv1.NetworkPolicy{} },
		NewList:    func() runtime.Object { return &networkingv1.NetworkPolicyList{} },
		Main:       networkPolicyRules(),
		Columns: []api.Column{
			column.Name(),
			column.Text("Pod-Selector", column.Doc(networkingv1.NetworkPolicySpec{}, "podSelector")),
			column.Age(),
		},
		Row: func(p *networkingv1.NetworkPolicy, now time.Time) []any {
			return []any{p.Name, column.Selector(&p.Spec.PodSelector), column.Since(p.CreationTimestamp, now)}
		},
		UnconditionalUpdate: true,
	}.Kind()
}

func firstOf(items []string, n int) string {
	if len(items) <= n {
		return strings.Join(items, ",")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(items[:n], ","), len(items)-n)
}
