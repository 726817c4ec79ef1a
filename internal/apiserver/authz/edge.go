package authz

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/store/cache"
)

// EdgeUser is the identity of the process that serves DNS and Ingress.
const EdgeUser = "system:knarr:edge"

// edge lets the edge read the secrets that hold TLS certificates and no
// others. A role cannot say that: it knows resources and names, not types.
type edge struct{ secrets *cache.Resource }

// Authorize has no opinion on anybody else, and on anything else.
func (e edge) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser().GetName() != EdgeUser || !a.IsResourceRequest() || a.GetAPIGroup() != "" || a.GetResource() != "secrets" || a.GetSubresource() != "" {
		return authorizer.DecisionNoOpinion, "", nil
	}
	switch a.GetVerb() {
	case "get":
		item, ok := e.secrets.Get(a.GetNamespace(), a.GetName())
		if ok && item.Object.(*corev1.Secret).Type == corev1.SecretTypeTLS {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "the edge can only read secrets of type kubernetes.io/tls", nil
	case "list", "watch":
		if selectsTLS(a) {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "the edge can only list and watch secrets with the field selector type=kubernetes.io/tls", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func selectsTLS(a authorizer.Attributes) bool {
	requirements, err := a.GetFieldSelector()
	if err != nil {
		return false
	}
	for _, r := range requirements {
		if r.Field == "type" && r.Value == string(corev1.SecretTypeTLS) && (r.Operator == selection.Equals || r.Operator == selection.DoubleEquals) {
			return true
		}
	}
	return false
}
