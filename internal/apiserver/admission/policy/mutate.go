package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

const mutatingPlugin = "MutatingAdmissionPolicy"

// invocation is one policy to be applied by one binding with one parameter.
type invocation struct {
	*mutator
	binding string
	kind    *api.Kind
	param   runtime.Object
}

// key tells invocations of one write apart.
func (v *invocation) key() string {
	key := v.policy.Name + "/" + v.binding
	if v.param != nil {
		if acc, err := meta.Accessor(v.param); err == nil {
			key += "/" + acc.GetNamespace() + "/" + acc.GetName()
		}
	}
	return key
}

// passes is what the first pass remembers for the second.
type passes struct {
	called, again []string
	left          runtime.Object
}

func (p *passes) changed() {
	p.again = append(p.again, p.called...)
	p.called = nil
}

// mutation of a write under way.
type run struct {
	*Policies
	a        *admission.Attributes
	memory   *passes
	applied  bool // a mutation was, whether or not it changed anything
	failures []denial
}

// mutate applies every mutating policy that is about the write.
func (p *Policies) mutate(ctx context.Context, a *admission.Attributes) error {
	policies := p.mutating.now()
	if len(policies) == 0 || exempt(a) || a.Operation == admission.Delete {
		return nil
	}
	r := &run{Policies: p, a: a}
	var calls []invocation
	for i := range policies {
		calls = append(calls, r.invocations(ctx, &policies[i])...)
	}
	if err := r.all(ctx, calls); err != nil {
		return err
	}
	return r.refusal()
}

// invocations are the applications of one policy to the write.
func (r *run) invocations(ctx context.Context, of *active[*mutator]) (out []invocation) {
	k, err := r.matcher.Match(r.a, of.criteria)
	if err == nil && k == nil {
		return nil
	}
	m := of.compiled()
	if err == nil {
		err = errors.Join(m.broken, r.configurationError(of.params))
	}
	if err != nil {
		r.fail(m, fmt.Sprintf("policy %q denied request: failed to configure policy: %v", of.name, err), "")
		return nil
	}
	for _, b := range of.bindings {
		if b.criteria != nil {
			about, err := r.matcher.Match(r.a, b.criteria)
			if err != nil {
				r.fail(m, denied(of.name, b.name, fmt.Errorf("failed to configure binding: %w", err)), "")
			}
			if err != nil || about == nil {
				continue
			}
		}
		params, err := r.paramsOf(ctx, of.params, b.params, r.a)
		if err != nil {
			r.fail(m, denied(of.name, b.name, fmt.Errorf("failed to configure binding: %w", err)), "")
		}
		for _, param := range params {
			out = append(out, invocation{m, b.name, k, param})
		}
	}
	return out
}

func denied(policy, binding string, err error) string {
	return fmt.Sprintf("policy '%s' with binding '%s' denied request: %v", policy, binding, err)
}

func (r *run) fail(m *mutator, message string, reason metav1.StatusReason) {
	if !m.ignores() {
		r.failures = append(r.failures, denial{reason, message})
	}
}

// all applies the invocations in order; each sees what those before it did.
func (r *run) all(ctx context.Context, calls []invocation) error {
	if len(calls) == 0 {
		return nil
	}
	r.memory, _ = r.a.Recall(mutatingPlugin).(*passes)
	if r.memory == nil {
		r.memory = &passes{}
	} else if r.a.IsAgain() && !apiequality.Semantic.DeepEqual(r.memory.left, r.a.Object) {
		r.memory.changed()
	}
	for i := range calls {
		if err := r.one(ctx, &calls[i]); err != nil {
			return err
		}
	}
	if r.applied {
		// Also the last policy that asks to be called again is, as upstream's.
		r.memory.changed()
		r.a.RunAgain()
	}
	if !r.a.IsAgain() && r.a.Object != nil {
		r.memory.left = r.a.Object.DeepCopyObject()
		r.a.Remember(mutatingPlugin, r.memory)
	}
	return nil
}

// one applies one invocation. A status error ends the write.
func (r *run) one(ctx context.Context, v *invocation) error {
	ctx = v.programs.context(ctx)
	in, err := r.newInput(ctx, r.a, v.kind, admission.NewShapes(ctx, r.a))
	if err != nil {
		return err
	}
	in.param = v.param
	if v.conditions != nil {
		res := v.conditions.Match(ctx, in.versioned, v.param, in.authorizer)
		if res.Error != nil {
			r.fail(v.mutator, denied(v.policy.Name, v.binding, res.Error), metav1.StatusReasonInvalid)
		}
		if res.Error != nil || !res.Matches {
			return nil
		}
	}
	if r.a.IsAgain() && !slices.Contains(r.memory.again, v.key()) || in.versioned.VersionedObject == nil {
		return nil
	}
	changed := false
	for _, step := range v.mutations {
		did, err := r.step(ctx, v, step)
		var status *apierrors.StatusError
		if errors.As(err, &status) {
			return status
		}
		if err != nil {
			r.fail(v.mutator, denied(v.policy.Name, v.binding, err), metav1.StatusReasonInvalid)
		}
		changed = changed || did
	}
	if changed {
		r.memory.changed()
	}
	if v.again() {
		r.memory.called = append(r.memory.called, v.key())
	}
	return nil
}

// step applies one mutation to the object as it is now.
func (r *run) step(ctx context.Context, v *invocation, step mutation) (changed bool, err error) {
	began := time.Now()
	defer func() { r.metrics.mutated(v.policy.Name, v.binding, err, time.Since(began)) }()
	in, err := r.newInput(ctx, r.a, v.kind, admission.NewShapes(ctx, r.a))
	if err != nil {
		return false, err
	}
	in.param = v.param
	before := r.a.Object.DeepCopyObject()
	content, err := r.patched(ctx, step, in, v.kind)
	if err != nil {
		return false, err
	}
	if err := r.a.Replace(ctx, content, v.kind, step.strict); err != nil {
		return false, apierrors.NewInternalError(err)
	}
	r.applied = true
	return !apiequality.Semantic.DeepEqual(before, r.a.Object), nil
}

// refusal is the answer to a write that a policy failed to change: the first
// failure speaks, all are causes.
func (r *run) refusal() error {
	if len(r.failures) == 0 {
		return nil
	}
	err := admission.Forbidden(r.a, errors.New("admission request denied by policy"))
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		return err
	}
	status.ErrStatus.Message = r.failures[0].message
	if r.failures[0].reason != "" {
		status.ErrStatus.Reason = r.failures[0].reason
	}
	for _, f := range r.failures {
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{Message: f.message})
	}
	return status
}
