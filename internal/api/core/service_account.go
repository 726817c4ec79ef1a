package core

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

func serviceAccountKind() *api.Kind {
	return api.Spec[*corev1.ServiceAccount]{
		Version: version, Name: "ServiceAccount", Resource: "serviceaccounts", Singular: "serviceaccount",
		ShortNames: []string{"sa"},
		Namespaced: true,
		New:        func() *corev1.ServiceAccount { return &corev1.ServiceAccount{} },
		NewList:    func() runtime.Object { return &corev1.ServiceAccountList{} },
		Main: api.RulesOf[*corev1.ServiceAccount]{
			MetaAgain:     true,
			PrepareCreate: cleanSecretReferences,
			PrepareUpdate: func(sa, _ *corev1.ServiceAccount) { cleanSecretReferences(sa) },
			Warn:          warnServiceAccount,
		},
		Subresources: []api.Subresource{
			{
				Name: "token", Verbs: []string{"create"},
				GVK: schema.GroupVersionKind{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"},
			},
		},
		Columns: []api.Column{column.Name(), column.Age()},
		Row: func(sa *corev1.ServiceAccount, now time.Time) []any {
			return []any{sa.Name, column.Since(sa.CreationTimestamp, now)}
		},
	}.Kind()
}

// cleanSecretReferences keeps only the names: secrets lie in the account's
// own namespace.
func cleanSecretReferences(sa *corev1.ServiceAccount) {
	for i, ref := range sa.Secrets {
		sa.Secrets[i] = corev1.ObjectReference{Name: ref.Name}
	}
}

// enforceMountableSecrets is the annotation deprecated in 1.32.
const enforceMountableSecrets = "kubernetes.io/enforce-mountable-secrets"

func warnServiceAccount(sa, old *corev1.ServiceAccount, isUpdate bool) []string {
	if _, ok := sa.Annotations[enforceMountableSecrets]; !ok {
		return nil
	}
	if isUpdate {
		if _, had := old.Annotations[enforceMountableSecrets]; had {
			return nil
		}
	}
	return []string{"metadata.annotations[" + enforceMountableSecrets + "]: deprecated in v1.32+; " +
		"prefer separate namespaces to isolate access to mounted secrets"}
}
