package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// maxNote bounds an audit annotation's value, in bytes.
const maxNote = 10 << 10

// judgement collects what the policies say of one write.
type judgement struct {
	*Policies
	a      *admission.Attributes
	shapes *admission.Shapes
	denied *denial // the first
	notes  map[string][]string
}

// denial is why a write is refused.
type denial struct {
	reason  metav1.StatusReason
	message string
}

// validate lets every validating policy judge the write; the first refusal is
// the answer.
func (p *Policies) validate(ctx context.Context, a *admission.Attributes) error {
	policies := p.validating.now()
	if len(policies) == 0 || exempt(a) {
		return nil
	}
	j := &judgement{Policies: p, a: a, shapes: admission.NewShapes(ctx, a), notes: map[string][]string{}}
	for i := range policies {
		if err := j.policy(ctx, &policies[i]); err != nil {
			return err
		}
	}
	for key, values := range j.notes {
		a.Note(key, strings.Join(values, ", "))
	}
	if j.denied == nil {
		return nil
	}
	return j.denied.error(a)
}

// policy lets one policy judge, by each binding that is about the write.
func (j *judgement) policy(ctx context.Context, of *active[*validator]) error {
	k, err := j.matcher.Match(j.a, of.criteria)
	if err == nil && k == nil {
		return nil
	}
	v := of.compiled()
	if err == nil {
		err = j.configurationError(of.params)
	}
	if err != nil {
		j.misconfigured(v, fmt.Sprintf("ValidatingAdmissionPolicy '%s' denied request: failed to configure policy: %v", of.name, err))
		return nil
	}
	for i := range of.bindings {
		if err := j.binding(ctx, of, v, k, &of.bindings[i]); err != nil {
			return err
		}
	}
	return nil
}

func (j *judgement) binding(ctx context.Context, of *active[*validator], v *validator, k *api.Kind, b *binding) error {
	prefix := fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: ", of.name, b.name)
	if b.criteria != nil {
		about, err := j.matcher.Match(j.a, b.criteria)
		if err != nil {
			j.misconfigured(v, prefix+"failed to configure binding: "+err.Error())
		}
		if about == nil || err != nil {
			return nil
		}
	}
	params, err := j.paramsOf(ctx, of.params, b.params, j.a)
	if err != nil {
		j.misconfigured(v, prefix+"failed to configure binding: "+err.Error())
		return nil
	}
	if len(params) == 0 {
		return nil
	}
	in, err := j.newInput(ctx, j.a, k, j.shapes)
	if err != nil {
		return err
	}
	for _, in.param = range params {
		began := time.Now()
		decisions, notes := v.evaluate(in)
		for i := range decisions {
			j.heed(v, b, &decisions[i], prefix, time.Since(began))
		}
		j.annotate(of.name, notes)
	}
	return nil
}

// misconfigured is a refusal where the failure policy wants one.
func (j *judgement) misconfigured(v *validator, message string) {
	if !v.ignores() {
		j.deny(metav1.StatusReasonInvalid, message)
	}
}

func (j *judgement) deny(reason metav1.StatusReason, message string) {
	if reason == "" {
		reason = metav1.StatusReasonInvalid
	}
	if j.denied == nil {
		j.denied = &denial{reason, message}
	}
}

// heed does what a binding wants done about a decision.
func (j *judgement) heed(v *validator, b *binding, d *decision, prefix string, took time.Duration) {
	policy := v.policy.Name
	if !d.denied {
		if d.failed {
			j.metrics.validated(policy, b.name, d, "allow", took)
		}
		return
	}
	if d.index < 0 { // an audit annotation that failed, whatever the actions
		j.deny(d.reason, prefix+d.message)
		j.metrics.validated(policy, b.name, d, "deny", took)
		return
	}
	for _, action := range b.actions {
		switch action {
		case admissionregistrationv1.Deny:
			j.deny(d.reason, prefix+d.message)
			j.metrics.validated(policy, b.name, d, "deny", took)
		case admissionregistrationv1.Audit:
			j.a.Note("validation.policy.admission.k8s.io/validation_failure", failureNote(policy, b, d))
			j.metrics.validated(policy, b.name, d, "audit", took)
		case admissionregistrationv1.Warn:
			j.a.Warn(fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", policy, b.name, d.message))
			j.metrics.validated(policy, b.name, d, "warn", took)
		}
	}
}

func failureNote(policy string, b *binding, d *decision) string {
	type failure struct {
		Message string                                     `json:"message"`
		Policy  string                                     `json:"policy"`
		Binding string                                     `json:"binding"`
		Index   int                                        `json:"expressionIndex"`
		Actions []admissionregistrationv1.ValidationAction `json:"validationActions"`
	}
	note, err := json.Marshal([]failure{{d.message, policy, b.name, d.index, b.actions}})
	if err != nil {
		return ""
	}
	return string(note)
}

// annotate keeps audit annotations until all bindings have spoken; the same
// value counts once.
func (j *judgement) annotate(policy string, notes []annotation) {
	for _, n := range notes {
		key, value := policy+"/"+n.key, n.value[:min(len(n.value), maxNote)]
		if !slices.Contains(j.notes[key], value) {
			j.notes[key] = append(j.notes[key], value)
		}
	}
}

// error is a refusal as the write's client gets it.
func (d *denial) error(a *admission.Attributes) error {
	err := admission.Forbidden(a, errors.New(d.message))
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		return err
	}
	status.ErrStatus.Reason, status.ErrStatus.Code = d.reason, codeOf(d.reason)
	status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{Message: d.message})
	return status
}

func codeOf(r metav1.StatusReason) int32 {
	switch r {
	case metav1.StatusReasonForbidden:
		return http.StatusForbidden
	case metav1.StatusReasonUnauthorized:
		return http.StatusUnauthorized
	case metav1.StatusReasonRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusUnprocessableEntity
}
