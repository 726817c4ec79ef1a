// Package certificates declares the kind of certificates.k8s.io: requests for
// certificates that signers approve and sign. It holds no state.
package certificates

import (
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

const (
	group   = "certificates.k8s.io"
	version = "v1"
)

type request = *certificatesv1.CertificateSigningRequest

// Kinds are the kinds of certificates.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{CertificateSigningRequest()} }

// CertificateSigningRequest asks a signer for a certificate. What is asked
// for never changes; /approval writes the conditions that approve or deny,
// /status the certificate and all other conditions.
func CertificateSigningRequest() *api.Kind {
	return api.Spec[request]{
		Group: group, Version: version, Name: "CertificateSigningRequest",
		Resource: "certificatesigningrequests", Singular: "certificatesigningrequest", ShortNames: []string{"csr"},
		New:     func() request { return &certificatesv1.CertificateSigningRequest{} },
		NewList: func() runtime.Object { return &certificatesv1.CertificateSigningRequestList{} },
		Main: api.RulesOf[request]{
			MetaAgain:     true,
			PrepareCreate: func(r request) { r.Status = certificatesv1.CertificateSigningRequestStatus{} },
			PrepareUpdate: func(r, old request) { r.Spec, r.Status = old.Spec, old.Status },
			Stamp:         sign,
			Validate:      func(r request) field.ErrorList { return validateRequest(r, nil) },
			ValidateUpdate: func(r, old request) field.ErrorList {
				return validateChange(r, old, writes{})
			},
			NameRule: anyName,
			Reset:    [][]string{{"spec"}, {"status"}},
		},
		Status: &api.RulesOf[request]{
			PrepareUpdate:  prepareStatus,
			Stamp:          stampConditions,
			ValidateUpdate: func(r, old request) field.ErrorList { return validateChange(r, old, writes{certificate: true}) },
		},
		Subresources: []api.Subresource{{
			Name: "approval", GVK: schema.GroupVersionKind{Group: group, Version: version, Kind: "CertificateSigningRequest"},
			Verbs: []string{"get", "patch", "update"},
			Rules: api.RulesOf[request]{
				PrepareUpdate:  prepareApproval,
				Stamp:          stampConditions,
				ValidateUpdate: func(r, old request) field.ErrorList { return validateChange(r, old, writes{approval: true}) },
				Reset:          [][]string{{"spec"}, {"status", "certificate"}},
			}.Erase(),
		}},
		Columns: columns(), Row: row,
		Fields:              func(r request) fields.Set { return fields.Set{"spec.signerName": r.Spec.SignerName} },
		FieldNames:          []string{"spec.signerName"},
		UnconditionalUpdate: true,
	}.Kind()
}

func anyName(string, bool) []string { return nil }

// columns explains in the words of the beta version, as upstream's printers do.
func columns() []api.Column {
	spec, status := certificatesv1beta1.CertificateSigningRequestSpec{}, certificatesv1beta1.CertificateSigningRequestStatus{}
	return []api.Column{
		column.Name(),
		column.Age(),
		column.Text("SignerName", column.Doc(spec, "signerName")),
		column.Text("Requestor", column.Doc(spec, "request")),
		column.Text("RequestedDuration", column.Doc(spec, "expirationSeconds")),
		column.Text("Condition", column.Doc(status, "conditions")),
	}
}

func row(r request, now time.Time) []any {
	asked := column.None
	if s := r.Spec.ExpirationSeconds; s != nil {
		asked = duration.HumanDuration(time.Duration(*s) * time.Second)
	}
	return []any{r.Name, column.Since(r.CreationTimestamp, now), r.Spec.SignerName, r.Spec.Username, asked, state(r)}
}

// state sums up how far a request has come.
func state(r request) string {
	out := "Pending"
	switch {
	case has(r, certificatesv1.CertificateDenied):
		out = "Denied"
	case has(r, certificatesv1.CertificateApproved):
		out = "Approved"
	}
	if has(r, certificatesv1.CertificateFailed) {
		out += ",Failed"
	}
	if len(r.Status.Certificate) > 0 {
		out += ",Issued"
	}
	return out
}

func has(r request, t certificatesv1.RequestConditionType) bool { return len(ofType(r, t)) > 0 }
