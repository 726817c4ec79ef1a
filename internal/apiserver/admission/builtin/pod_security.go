package builtin

import (
	"context"
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// podSecurity holds pods to the Pod Security Standards that their namespace's
// labels name. Workloads that only make pods are warned of.
func podSecurity(l lookup) admission.Plugin {
	checks, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(fmt.Sprintf("the library's own checks do not fit together: %v", err))
	}
	p := security{lookup: l, checks: checks}
	return admission.Plugin{Name: "PodSecurity", Validate: p.validate}
}

type security struct {
	lookup
	checks policy.Evaluator
}

func unrestricted() api.Policy {
	open := api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}
	return api.Policy{Enforce: open, Audit: open, Warn: open}
}

func (p security) validate(ctx context.Context, a *admission.Attributes) error {
	if a.Operation != admission.Create && a.Operation != admission.Update {
		return nil
	}
	switch obj := a.Object.(type) {
	case *corev1.Namespace:
		if a.Subresource == "" {
			return p.namespace(a, obj)
		}
	case *corev1.Pod:
		if a.Subresource == "" || a.Subresource == "ephemeralcontainers" {
			return p.pod(ctx, a, obj)
		}
	default:
		if meta, spec := templateOf(a.Object); spec != nil && a.Subresource == "" {
			level := p.policyOf(a.Namespace)
			p.note(ctx, level, meta, spec)
			p.warn(a, level.Warn, meta, spec)
		}
	}
	return nil
}

func (p security) policyOf(namespace string) api.Policy {
	ns, found := get[*corev1.Namespace](p.lookup, "", "v1", "namespaces", "", namespace)
	if !found {
		return unrestricted()
	}
	out, _ := api.PolicyToEvaluate(ns.Labels, unrestricted())
	return out
}

// pod refuses a pod that the namespace's level does not allow. An update that
// leaves alone what the checks look at is let through.
func (p security) pod(ctx context.Context, a *admission.Attributes, pod *corev1.Pod) error {
	if old, isPod := a.Old.(*corev1.Pod); isPod && reflect.DeepEqual(checked(old), checked(pod)) {
		return nil
	}
	level := p.policyOf(a.Namespace)
	audit.AddAuditAnnotation(ctx, api.AuditAnnotationPrefix+api.EnforcedPolicyAnnotationKey, level.Enforce.String())
	if level.FullyPrivileged() {
		return nil
	}
	p.note(ctx, level, &pod.ObjectMeta, &pod.Spec)
	if result := p.evaluate(level.Enforce, &pod.ObjectMeta, &pod.Spec); !result.Allowed {
		return admission.Forbidden(a, fmt.Errorf("violates PodSecurity %q: %s", level.Enforce.String(), result.ForbiddenDetail()))
	}
	p.warn(a, level.Warn, &pod.ObjectMeta, &pod.Spec)
	return nil
}

// checked is the part of a pod that an update may change and checks look at.
func checked(pod *corev1.Pod) any {
	images := func(containers []corev1.Container) []string {
		out := make([]string, len(containers))
		for i := range containers {
			out[i] = containers[i].Image
		}
		return out
	}
	return []any{pod.Spec.EphemeralContainers, images(pod.Spec.Containers), images(pod.Spec.InitContainers), pod.Annotations}
}

func (p security) evaluate(lv api.LevelVersion, meta *metav1.ObjectMeta, spec *corev1.PodSpec) policy.AggregateCheckResult {
	return policy.AggregateCheckResults(p.checks.EvaluatePod(lv, meta, spec))
}

func (p security) warn(a *admission.Attributes, lv api.LevelVersion, meta *metav1.ObjectMeta, spec *corev1.PodSpec) {
	if lv.Level == api.LevelPrivileged {
		return
	}
	if result := p.evaluate(lv, meta, spec); !result.Allowed {
		a.Warn(fmt.Sprintf("would violate PodSecurity %q: %s", lv.String(), result.ForbiddenDetail()))
	}
}

// note tells the audit log, where there is one, what the level that is only
// audited would refuse.
func (p security) note(ctx context.Context, level api.Policy, meta *metav1.ObjectMeta, spec *corev1.PodSpec) {
	if level.Audit.Level == api.LevelPrivileged || !audit.AuditContextFrom(ctx).Enabled() {
		return
	}
	if result := p.evaluate(level.Audit, meta, spec); !result.Allowed {
		audit.AddAuditAnnotation(ctx, api.AuditAnnotationPrefix+api.AuditViolationsAnnotationKey,
			fmt.Sprintf("would violate PodSecurity %q: %s", level.Audit.String(), result.ForbiddenDetail()))
	}
}

// templateOf is the pod that a workload makes; nil for other objects.
func templateOf(obj runtime.Object) (*metav1.ObjectMeta, *corev1.PodSpec) {
	var t *corev1.PodTemplateSpec
	switch o := obj.(type) {
	case *corev1.PodTemplate:
		t = &o.Template
	case *corev1.ReplicationController:
		t = o.Spec.Template
	case *appsv1.ReplicaSet:
		t = &o.Spec.Template
	case *appsv1.Deployment:
		t = &o.Spec.Template
	case *appsv1.StatefulSet:
		t = &o.Spec.Template
	case *appsv1.DaemonSet:
		t = &o.Spec.Template
	case *batchv1.Job:
		t = &o.Spec.Template
	case *batchv1.CronJob:
		t = &o.Spec.JobTemplate.Spec.Template
	}
	if t == nil {
		return nil, nil
	}
	return &t.ObjectMeta, &t.Spec
}

// namespace refuses unreadable levels, and warns of pods that are there
// already and would not be let in under a new one.
func (p security) namespace(a *admission.Attributes, ns *corev1.Namespace) error {
	level, errs := api.PolicyToEvaluate(ns.Labels, unrestricted())
	old, isUpdate := a.Old.(*corev1.Namespace)
	if !isUpdate {
		if len(errs) > 0 {
			return errors.NewInvalid(a.Kind.GVK.GroupKind(), ns.Name, errs)
		}
		return nil
	}
	was, oldErrs := api.PolicyToEvaluate(old.Labels, unrestricted())
	switch {
	case len(errs) > 0 && len(oldErrs) == 0:
		return errors.NewInvalid(a.Kind.GVK.GroupKind(), ns.Name, errs)
	case len(errs) > 0, level.Enforce.Level == api.LevelPrivileged, level.Enforce.Equivalent(&was.Enforce):
		return nil
	case level.Enforce.Version == was.Enforce.Version && api.CompareLevels(level.Enforce.Level, was.Enforce.Level) < 1:
		return nil // no stricter than before
	}
	p.warnExisting(a, ns.Name, level.Enforce)
	return nil
}

// maxExisting bounds the pods that a namespace's update looks at.
const maxExisting = 3000

func (p security) warnExisting(a *admission.Attributes, namespace string, lv api.LevelVersion) {
	var reasons []string
	first, more := map[string]string{}, map[string]int{}
	for i, pod := range all[*corev1.Pod](p.lookup, "", "v1", "pods", namespace) {
		if i == maxExisting {
			break
		}
		result := p.evaluate(lv, &pod.ObjectMeta, &pod.Spec)
		if result.Allowed {
			continue
		}
		reason := result.ForbiddenReason()
		if _, known := first[reason]; known {
			more[reason]++
			continue
		}
		first[reason] = pod.Name
		reasons = append(reasons, reason)
	}
	if len(reasons) == 0 {
		return
	}
	a.Warn(fmt.Sprintf("existing pods in namespace %q violate the new PodSecurity enforce level %q", namespace, lv.String()))
	for _, reason := range reasons {
		others := ""
		switch n := more[reason]; {
		case n == 1:
			others = " (and 1 other pod)"
		case n > 1:
			others = fmt.Sprintf(" (and %d other pods)", n)
		}
		a.Warn(first[reason] + others + ": " + reason)
	}
}
