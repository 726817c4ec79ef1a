package webhook

import (
	"fmt"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/knarr-io/knarr/internal/apiserver/admission/celenv"
	"github.com/knarr-io/knarr/internal/apiserver/admission/match"
	"github.com/knarr-io/knarr/internal/apiserver/outbound"
)

// hook is one webhook of one configuration, compiled. It is immutable.
type hook struct {
	configuration, name string
	// key tells webhooks of one write apart, also of one name.
	key         string
	criteria    *match.Criteria
	conditions  matchconditions.Matcher // nil: none
	ignoreFails bool
	// sideEffects is empty where the configuration says nothing.
	sideEffects admissionregistrationv1.SideEffectClass
	timeout     time.Duration
	versions    []string
	again       bool // reinvocationPolicy IfNeeded
	target      outbound.Target
	endpoint    *outbound.Endpoint
	broken      error // why there is no endpoint
}

// source is what both kinds of webhooks have in common.
type source struct {
	name        string
	client      admissionregistrationv1.WebhookClientConfig
	criteria    *match.Criteria
	conditions  []admissionregistrationv1.MatchCondition
	failure     *admissionregistrationv1.FailurePolicyType
	sideEffects *admissionregistrationv1.SideEffectClass
	timeout     *int32
	versions    []string
	again       bool
}

func mutatingSource(w *admissionregistrationv1.MutatingWebhook) source {
	return source{
		name: w.Name, client: w.ClientConfig, criteria: match.OfWebhook(w.Rules, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector),
		conditions: w.MatchConditions, failure: w.FailurePolicy, sideEffects: w.SideEffects, timeout: w.TimeoutSeconds, versions: w.AdmissionReviewVersions,
		again: w.ReinvocationPolicy != nil && *w.ReinvocationPolicy == admissionregistrationv1.IfNeededReinvocationPolicy,
	}
}

func validatingSource(w *admissionregistrationv1.ValidatingWebhook) source {
	return source{
		name: w.Name, client: w.ClientConfig, criteria: match.OfWebhook(w.Rules, w.MatchPolicy, w.NamespaceSelector, w.ObjectSelector),
		conditions: w.MatchConditions, failure: w.FailurePolicy, sideEffects: w.SideEffects, timeout: w.TimeoutSeconds, versions: w.AdmissionReviewVersions,
	}
}

// compile makes a hook. Endpoints of before that lead to the same server are
// taken over, with their connections.
func (h *Hooks) compile(kind kind, configuration string, n int, s source, before []*hook) *hook {
	out := &hook{
		configuration: configuration, name: s.name, key: fmt.Sprintf("%s/%s/%d", configuration, s.name, n), criteria: s.criteria,
		ignoreFails: s.failure != nil && *s.failure == admissionregistrationv1.Ignore, versions: s.versions, again: s.again,
		target: targetOf(s.client),
	}
	if s.sideEffects != nil {
		out.sideEffects = *s.sideEffects
	}
	if s.timeout != nil {
		out.timeout = time.Duration(*s.timeout) * time.Second
	}
	if len(s.conditions) > 0 {
		out.conditions = conditionsOf(s, kind)
	}
	if i := slices.IndexFunc(before, func(b *hook) bool { return b.endpoint != nil && b.target.Same(out.target) }); i >= 0 {
		out.endpoint = before[i].endpoint
		return out
	}
	out.target.Credentials = h.lists[kind].credentials
	out.endpoint, out.broken = h.client.Endpoint(out.target)
	return out
}

func targetOf(c admissionregistrationv1.WebhookClientConfig) outbound.Target {
	out := outbound.Target{CABundle: c.CABundle}
	if s := c.Service; s != nil {
		out.Service = &outbound.ServicePort{Namespace: s.Namespace, Name: s.Name}
		if s.Port != nil {
			out.Service.Port = *s.Port
		}
		if s.Path != nil {
			out.Path = *s.Path
		}
	} else if c.URL != nil {
		out.URL = *c.URL
	}
	return out
}

// conditionsOf compiles match conditions. One that does not compile fails
// when it is evaluated, as the failure policy says.
func conditionsOf(s source, kind kind) matchconditions.Matcher {
	expressions := make([]kcel.ExpressionAccessor, len(s.conditions))
	for i := range s.conditions {
		expressions[i] = (*matchconditions.MatchCondition)(&s.conditions[i])
	}
	filter := celenv.Plain().CompileCondition(expressions,
		kcel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.StoredExpressions)
	return matchconditions.NewMatcher(filter, s.failure, "webhook", kind.metric(), s.name)
}
