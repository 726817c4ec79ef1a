package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	celtypes "github.com/google/cel-go/common/types"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
)

// validator is a compiled validating policy. It is immutable.
type validator struct {
	policy                             *admissionregistrationv1.ValidatingAdmissionPolicy
	conditions                         matchconditions.Matcher
	validations, messages, annotations kcel.ConditionEvaluator
	broken                             error
}

func compileValidator(p *admissionregistrationv1.ValidatingAdmissionPolicy) *validator {
	v := &validator{policy: p}
	programs, err := newPrograms(p.Spec.ParamKind != nil, p.Spec.Variables)
	if err != nil {
		v.broken = err
		return v
	}
	v.conditions = programs.conditions(p.Spec.MatchConditions, p.Spec.FailurePolicy, p.Name)
	validations := make([]kcel.ExpressionAccessor, len(p.Spec.Validations))
	messages := make([]kcel.ExpressionAccessor, len(p.Spec.Validations))
	for i, rule := range p.Spec.Validations {
		validations[i] = expression{rule.Expression, []*cel.Type{cel.BoolType}}
		if rule.MessageExpression != "" {
			messages[i] = expression{rule.MessageExpression, []*cel.Type{cel.StringType}}
		}
	}
	annotations := make([]kcel.ExpressionAccessor, len(p.Spec.AuditAnnotations))
	for i, a := range p.Spec.AuditAnnotations {
		annotations[i] = expression{a.ValueExpression, []*cel.Type{cel.StringType, cel.NullType}}
	}
	unauthorized := programs.declared
	unauthorized.HasAuthorizer = false
	v.validations, v.annotations = programs.all(validations, programs.declared), programs.all(annotations, programs.declared)
	v.messages = programs.all(messages, unauthorized)
	return v
}

// ignores tells whether what cannot be evaluated is let through.
func (v *validator) ignores() bool { return ignores(v.policy.Spec.FailurePolicy) }

func ignores(f *admissionregistrationv1.FailurePolicyType) bool {
	return f != nil && *f == admissionregistrationv1.Ignore
}

// decision is what one expression says of a write.
type decision struct {
	index   int
	denied  bool
	failed  bool // the expression could not be evaluated
	reason  metav1.StatusReason
	message string
}

// annotation is one audit annotation that a policy wants.
type annotation struct{ key, value string }

// failure is the decision that follows from what cannot be evaluated.
func (v *validator) failure(err error) []decision {
	return []decision{{denied: !v.ignores(), failed: true, message: err.Error()}}
}

// evaluate runs the policy's expressions over a write.
func (v *validator) evaluate(in *input) (decisions []decision, notes []annotation) {
	if v.broken != nil {
		return v.failure(v.broken), nil
	}
	if v.conditions != nil {
		res := v.conditions.Match(in.ctx, in.versioned, in.param, in.authorizer)
		switch {
		case res.Error != nil:
			return v.failure(res.Error), nil
		case !res.Matches:
			return nil, nil
		}
	}
	results, budget, err := v.validations.ForInput(in.ctx, in.versioned, in.request, in.bindings(true), in.namespace, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return v.failure(err), nil
	}
	messages, _, messageErr := v.messages.ForInput(in.ctx, in.versioned, in.request, in.bindings(false), in.namespace, budget)
	for i := range results {
		d := v.decide(i, &results[i], messages, messageErr)
		d.index = i
		decisions = append(decisions, d)
	}
	values, _, err := v.annotations.ForInput(in.ctx, in.versioned, in.request, in.bindings(false), in.namespace, celconfig.RuntimeCELCostBudget)
	if err != nil {
		return v.failure(err), nil
	}
	for i := range values {
		note, d := v.annotate(i, &values[i])
		if d != nil {
			decisions = append(decisions, *d)
		} else if note.value != "" {
			notes = append(notes, note)
		}
	}
	return decisions, notes
}

func (v *validator) decide(i int, result *kcel.EvaluationResult, messages []kcel.EvaluationResult, messageErr error) decision {
	rule := &v.policy.Spec.Validations[i]
	switch {
	case result.Error != nil:
		return decision{denied: !v.ignores(), failed: true, message: result.Error.Error()}
	case errors.Is(messageErr, apiservercel.ErrInternal) || errors.Is(messageErr, apiservercel.ErrOutOfBudget):
		return decision{denied: !v.ignores(), failed: true, message: fmt.Sprintf("failed messageExpression: %s", messageErr)}
	case result.EvalResult == celtypes.True:
		return decision{}
	}
	d := decision{denied: true, reason: metav1.StatusReasonInvalid}
	if rule.Reason != nil {
		d.reason = *rule.Reason
	}
	if i < len(messages) {
		d.message = messageOf(&messages[i])
	}
	if d.message == "" {
		d.message = strings.TrimSpace(rule.Message)
	}
	if d.message == "" {
		d.message = "failed expression: " + strings.TrimSpace(rule.Expression)
	}
	return d
}

// messageOf is what a message expression gives, if that can be used: one line
// of bounded length.
func messageOf(r *kcel.EvaluationResult) string {
	if r.Error != nil || r.EvalResult == nil {
		return ""
	}
	text, isText := r.EvalResult.Value().(string)
	text = strings.TrimSpace(text)
	if !isText || len(text) > celconfig.MaxEvaluatedMessageExpressionSizeBytes || strings.Contains(text, "\n") {
		return ""
	}
	return text
}

// annotate gives the value of an audit annotation, empty where there is to be
// none, or the decision that its failure means.
func (v *validator) annotate(i int, r *kcel.EvaluationResult) (annotation, *decision) {
	spec := &v.policy.Spec.AuditAnnotations[i]
	switch {
	case r.Error != nil && v.ignores():
		return annotation{}, nil
	case r.Error != nil:
		return annotation{}, &decision{denied: true, failed: true, message: r.Error.Error(), index: -1}
	}
	if text, isText := r.EvalResult.Value().(string); isText {
		return annotation{key: spec.Key, value: strings.TrimSpace(text)}, nil
	}
	if r.EvalResult.Type() == celtypes.NullType {
		return annotation{}, nil
	}
	return annotation{}, &decision{denied: true, failed: true, index: -1, message: fmt.Sprintf("valueExpression '%v' resulted in unsupported return type: %v. "+
		"Return type must be either string or null.", spec.ValueExpression, r.EvalResult.Type())}
}
