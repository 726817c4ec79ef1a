// Package coordination declares the kinds of coordination.k8s.io. It holds no
// state.
package coordination

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// Kinds are the kinds of coordination.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{Lease()} }

// Lease is a claim that its holder renews: heartbeats and leader election.
func Lease() *api.Kind {
	return api.Spec[*coordinationv1.Lease]{
		Group: "coordination.k8s.io", Version: "v1", Name: "Lease",
		Resource: "leases", Singular: "lease",
		Namespaced: true,
		New:        func() *coordinationv1.Lease { return &coordinationv1.Lease{} },
		NewList:    func() runtime.Object { return &coordinationv1.LeaseList{} },
		Columns: []api.Column{
			column.Name(),
			column.Text("Holder", column.Doc(coordinationv1.LeaseSpec{}, "holderIdentity")),
			column.Age(),
		},
		Row:            row,
		CreateOnUpdate: true,
	}.Kind()
}

func row(l *coordinationv1.Lease, now time.Time) []any {
	holder := ""
	if l.Spec.HolderIdentity != nil {
		holder = *l.Spec.HolderIdentity
	}
	return []any{l.Name, holder, column.Since(l.CreationTimestamp, now)}
}
