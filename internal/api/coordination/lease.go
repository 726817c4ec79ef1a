// Package coordination declares the kinds of coordination.k8s.io. It holds no
// state.
package coordination

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
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
		Main: api.RulesOf[*coordinationv1.Lease]{
			Meta:           api.MetaLoose,
			PrepareCreate:  func(l *coordinationv1.Lease) { dropElection(l, nil) },
			PrepareUpdate:  dropElection,
			Validate:       validateLease,
			ValidateUpdate: func(l, _ *coordinationv1.Lease) field.ErrorList { return validateLease(l) },
		},
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

// dropElection removes what coordinated leader election (KEP-4355, off by
// default) writes, unless it was there before.
func dropElection(l, old *coordinationv1.Lease) {
	if old == nil || old.Spec.Strategy == nil {
		l.Spec.Strategy = nil
	}
	if old == nil || old.Spec.PreferredHolder == nil {
		l.Spec.PreferredHolder = nil
	}
}

func validateLease(l *coordinationv1.Lease) field.ErrorList {
	path, s := field.NewPath("spec"), &l.Spec
	var errs field.ErrorList
	if d := s.LeaseDurationSeconds; d != nil && *d <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), *d, "must be greater than 0"))
	}
	if s.LeaseTransitions != nil {
		errs = append(errs, validate.NonNegative(*s.LeaseTransitions, path.Child("leaseTransitions"))...)
	}
	if s.PreferredHolder != nil && *s.PreferredHolder != "" && (s.Strategy == nil || *s.Strategy == "") {
		errs = append(errs, field.Forbidden(path.Child("preferredHolder"), "may only be specified if `strategy` is defined"))
	}
	return errs
}
