package admissionregistration

import (
	"time"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
)

type (
	mutatingConfiguration   = *registration.MutatingWebhookConfiguration
	validatingConfiguration = *registration.ValidatingWebhookConfiguration
)

// MutatingWebhookConfiguration lists webhooks that may change objects.
func MutatingWebhookConfiguration() *api.Kind {
	return api.Spec[mutatingConfiguration]{
		Group: group, Version: version, Name: "MutatingWebhookConfiguration",
		Resource: "mutatingwebhookconfigurations", Singular: "mutatingwebhookconfiguration", Categories: categories(),
		New:     func() mutatingConfiguration { return &registration.MutatingWebhookConfiguration{} },
		NewList: func() runtime.Object { return &registration.MutatingWebhookConfigurationList{} },
		Main: api.RulesOf[mutatingConfiguration]{
			Meta: api.MetaLoose, MetaAsNew: true,
			Default:  defaultMutating,
			Validate: func(c mutatingConfiguration) field.ErrorList { return validateHooks(mutatingHooks(c), tolerance{}) },
			ValidateUpdate: func(c, old mutatingConfiguration) field.ErrorList {
				hooks := mutatingHooks(c)
				return validateHooks(hooks, toleranceFor(hooks, mutatingHooks(old)))
			},
			Generation: func(c, old mutatingConfiguration) bool { return !equality.Semantic.DeepEqual(c.Webhooks, old.Webhooks) },
		},
		Columns: configurationColumns(),
		Row: func(c mutatingConfiguration, now time.Time) []any {
			return []any{c.Name, int64(len(c.Webhooks)), column.Since(c.CreationTimestamp, now)}
		},
	}.Kind()
}

// ValidatingWebhookConfiguration lists webhooks that may refuse requests.
func ValidatingWebhookConfiguration() *api.Kind {
	return api.Spec[validatingConfiguration]{
		Group: group, Version: version, Name: "ValidatingWebhookConfiguration",
		Resource: "validatingwebhookconfigurations", Singular: "validatingwebhookconfiguration", Categories: categories(),
		New:     func() validatingConfiguration { return &registration.ValidatingWebhookConfiguration{} },
		NewList: func() runtime.Object { return &registration.ValidatingWebhookConfigurationList{} },
		Main: api.RulesOf[validatingConfiguration]{
			Meta: api.MetaLoose, MetaAsNew: true,
			Default:  defaultValidating,
			Validate: func(c validatingConfiguration) field.ErrorList { return validateHooks(validatingHooks(c), tolerance{}) },
			ValidateUpdate: func(c, old validatingConfiguration) field.ErrorList {
				hooks := validatingHooks(c)
				return validateHooks(hooks, toleranceFor(hooks, validatingHooks(old)))
			},
			Generation: func(c, old validatingConfiguration) bool {
				return !equality.Semantic.DeepEqual(c.Webhooks, old.Webhooks)
			},
		},
		Columns: configurationColumns(),
		Row: func(c validatingConfiguration, now time.Time) []any {
			return []any{c.Name, int64(len(c.Webhooks)), column.Since(c.CreationTimestamp, now)}
		},
	}.Kind()
}

func configurationColumns() []api.Column {
	return []api.Column{
		column.Name(),
		column.Number("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration"),
		column.Age(),
	}
}

func mutatingHooks(c mutatingConfiguration) []hook {
	out := make([]hook, len(c.Webhooks))
	for i := range c.Webhooks {
		out[i] = hook{&c.Webhooks[i]}
	}
	return out
}

func validatingHooks(c validatingConfiguration) []hook {
	out := make([]hook, len(c.Webhooks))
	for i := range c.Webhooks {
		out[i] = ofValidating(&c.Webhooks[i])
	}
	return out
}

func defaultMutating(c mutatingConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		optional.Default(&w.FailurePolicy, registration.Fail)
		optional.Default(&w.MatchPolicy, registration.Equivalent)
		optional.Default(&w.NamespaceSelector, metav1.LabelSelector{})
		optional.Default(&w.ObjectSelector, metav1.LabelSelector{})
		optional.Default(&w.TimeoutSeconds, defaultTimeout)
		optional.Default(&w.ReinvocationPolicy, registration.NeverReinvocationPolicy)
		defaultCall(&w.ClientConfig, w.Rules)
	}
}

func defaultValidating(c validatingConfiguration) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		optional.Default(&w.FailurePolicy, registration.Fail)
		optional.Default(&w.MatchPolicy, registration.Equivalent)
		optional.Default(&w.NamespaceSelector, metav1.LabelSelector{})
		optional.Default(&w.ObjectSelector, metav1.LabelSelector{})
		optional.Default(&w.TimeoutSeconds, defaultTimeout)
		defaultCall(&w.ClientConfig, w.Rules)
	}
}

const (
	defaultTimeout int32 = 10 // seconds
	defaultPort    int32 = 443
)

func defaultCall(c *registration.WebhookClientConfig, rules []registration.RuleWithOperations) {
	if c.Service != nil {
		optional.Default(&c.Service.Port, defaultPort)
	}
	for i := range rules {
		defaultRule(&rules[i].Rule)
	}
}
