// Package admissionregistration declares the kinds of
// admissionregistration.k8s.io: webhooks and CEL policies that may change or
// refuse what is written to the API. It holds no state; to call and to
// evaluate them is the business of the server's admission.
package admissionregistration

import (
	"github.com/knarr-io/knarr/internal/api"
)

const (
	group   = "admissionregistration.k8s.io"
	version = "v1"
)

// Kinds are the kinds of admissionregistration.k8s.io/v1.
func Kinds() []*api.Kind {
	return []*api.Kind{
		MutatingAdmissionPolicy(), MutatingAdmissionPolicyBinding(), MutatingWebhookConfiguration(),
		ValidatingAdmissionPolicy(), ValidatingAdmissionPolicyBinding(), ValidatingWebhookConfiguration(),
	}
}

func categories() []string { return []string{"api-extensions"} }

// unset is the cell of a field without a value.
const unset = "<unset>"
