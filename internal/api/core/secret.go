package core

import (
	"crypto/tls"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

func secretKind() *api.Kind {
	return api.Spec[*corev1.Secret]{
		Version: version, Name: "Secret", Resource: "secrets", Singular: "secret",
		Namespaced: true,
		New:        func() *corev1.Secret { return &corev1.Secret{} },
		NewList:    func() runtime.Object { return &corev1.SecretList{} },
		Main: api.RulesOf[*corev1.Secret]{
			MetaAgain:      true,
			Default:        defaultSecret,
			Validate:       validateSecret,
			ValidateUpdate: validateSecretUpdate,
			Warn:           warnSecret,
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("Type", column.Doc(corev1.Secret{}, "type")),
			column.Text("Data", column.Doc(corev1.Secret{}, "data")),
			column.Age(),
		},
		Row: func(s *corev1.Secret, now time.Time) []any {
			return []any{s.Name, string(s.Type), int64(len(s.Data)), column.Since(s.CreationTimestamp, now)}
		},
		Fields:              func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} },
		FieldNames:          []string{"type"},
		UnconditionalUpdate: true,
	}.Kind()
}

// defaultSecret merges the write-only stringData into data.
func defaultSecret(s *corev1.Secret) {
	orSet(&s.Type, corev1.SecretTypeOpaque)
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
	emptyForNull(s.Data)
}

func warnSecret(s, _ *corev1.Secret, _ bool) []string {
	if s.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
