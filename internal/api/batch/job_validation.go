package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	maxParallelism = 100_000
	maxIndexes     = 100_000
	// maxOfMany bounds pods and failures of jobs with more than maxIndexes.
	maxOfMany    = 10_000
	maxManagedBy = 63
)

func validateJob(j *batchv1.Job) field.ErrorList {
	errs := validateHostName(j)
	errs = append(errs, validateGenerated(j, true)...)
	return append(errs, validateJobWithSelector(&j.Spec, nil, field.NewPath("spec"))...)
}

// validateHostName refuses a name from which the last pod of an indexed job
// could not make its host name.
func validateHostName(j *batchv1.Job) field.ErrorList {
	if !indexed(&j.Spec) || j.Spec.Completions == nil || *j.Spec.Completions <= 0 {
		return nil
	}
	host := fmt.Sprintf("%s-%d", j.Name, *j.Spec.Completions-1)
	if len(validation.IsDNS1123Label(host)) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), j.Name,
		"will not able to create pod with invalid DNS label: "+host)}
}

// validateGenerated refuses labels and selectors that only look generated. Jobs
// older than the labels with a prefix need none of these.
func validateGenerated(j *batchv1.Job, prefixed bool) field.ErrorList {
	if optional.Value(j.Spec.ManualSelector) || j.Spec.Selector == nil {
		return nil
	}
	var errs field.ErrorList
	path := field.NewPath("spec", "template", "metadata", "labels")
	want := generatedLabels(j)
	keys := []string{oldControllerUID, oldJobName, batchv1.ControllerUidLabel, batchv1.JobNameLabel}
	if !prefixed {
		keys = keys[:2]
		delete(want, batchv1.ControllerUidLabel)
		delete(want, batchv1.JobNameLabel)
	}
	for _, key := range keys {
		switch value, ok := j.Spec.Template.Labels[key]; {
		case !ok:
			errs = append(errs, field.Required(path.Key(key), fmt.Sprintf("must be '%s'", want[key])))
		case value != want[key]:
			errs = append(errs, field.Invalid(path.Key(key), j.Spec.Template.Labels, fmt.Sprintf("must be '%s'", want[key])))
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(j.Spec.Selector)
	if err == nil && !selector.Matches(labels.Set(want)) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "selector"), j.Spec.Selector, "`selector` not auto-generated"))
	}
	return errs
}

func validateJobWithSelector(s, old *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := validateJobSpec(s, old, path)
	if s.Selector == nil {
		errs = append(errs, field.Required(path.Child("selector"), ""))
	} else {
		errs = append(errs, validate.LabelSelector(s.Selector, path.Child("selector"))...)
	}
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err == nil && !selector.Matches(labels.Set(s.Template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), s.Template.Labels,
			"`selector` does not match template `labels`"))
	}
	return errs
}

func validateJobSpec(s, old *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, n := range []struct {
		name  string
		value *int32
	}{
		{"parallelism", s.Parallelism}, {"completions", s.Completions},
	} {
		errs = append(errs, notNegative(n.value, path.Child(n.name))...)
	}
	if s.ActiveDeadlineSeconds != nil {
		errs = append(errs, validate.NonNegative(*s.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	}
	errs = append(errs, notNegative(s.BackoffLimit, path.Child("backoffLimit"))...)
	errs = append(errs, notNegative(s.TTLSecondsAfterFinished, path.Child("ttlSecondsAfterFinished"))...)
	errs = append(errs, notNegative(s.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex"))...)
	errs = append(errs, notNegative(s.MaxFailedIndexes, path.Child("maxFailedIndexes"))...)
	if s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
	if s.ManagedBy != nil {
		errs = append(errs, validation.IsDomainPrefixedPath(path.Child("managedBy"), *s.ManagedBy)...)
		if len(*s.ManagedBy) > maxManagedBy {
			errs = append(errs, field.TooLong(path.Child("managedBy"), *s.ManagedBy, maxManagedBy))
		}
	}
	errs = append(errs, validateMode(s, path)...)
	errs = append(errs, validateFailurePolicy(s, path.Child("podFailurePolicy"))...)
	errs = append(errs, validateSuccessPolicy(s, path.Child("successPolicy"))...)
	errs = append(errs, validateReplacement(s, path.Child("podReplacementPolicy"))...)
	return append(errs, validateJobPods(s, old, path.Child("template"))...)
}

func notNegative(n *int32, path *field.Path) field.ErrorList {
	if n == nil {
		return nil
	}
	return validate.NonNegative(*n, path)
}

func validateJobPods(s, old *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var before *corev1.PodTemplateSpec
	if old != nil {
		before = &old.Template
	}
	errs := template.Pods(&s.Template, before, path)
	restart := path.Child("spec", "restartPolicy")
	switch p := s.Template.Spec.RestartPolicy; {
	case p == "" || p == corev1.RestartPolicyAlways: // Always is what pods get by default
		errs = append(errs, field.Required(restart, fmt.Sprintf("valid values: %q, %q", corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)))
	case p != corev1.RestartPolicyOnFailure && p != corev1.RestartPolicyNever:
		errs = append(errs, field.NotSupported(restart, p, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}))
	case s.PodFailurePolicy != nil && p != corev1.RestartPolicyNever:
		errs = append(errs, field.Invalid(restart, p, fmt.Sprintf("only %q is supported when podFailurePolicy is specified", corev1.RestartPolicyNever)))
	}
	return errs
}

func validateMode(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	mode := batchv1.NonIndexedCompletion
	if s.CompletionMode != nil {
		mode = *s.CompletionMode
	}
	if m := mode; m != batchv1.NonIndexedCompletion && m != batchv1.IndexedCompletion {
		errs = append(errs, field.NotSupported(path.Child("completionMode"), m,
			[]batchv1.CompletionMode{batchv1.NonIndexedCompletion, batchv1.IndexedCompletion}))
	}
	switch mode {
	case batchv1.IndexedCompletion:
		return append(errs, validateIndexed(s, path)...)
	case batchv1.NonIndexedCompletion:
		const text = "requires indexed completion mode"
		if n := s.BackoffLimitPerIndex; n != nil {
			errs = append(errs, field.Invalid(path.Child("backoffLimitPerIndex"), *n, text))
		}
		if n := s.MaxFailedIndexes; n != nil {
			errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *n, text))
		}
	}
	return errs
}

func validateIndexed(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Completions == nil {
		errs = append(errs, field.Required(path.Child("completions"),
			fmt.Sprintf("when completion mode is %s", batchv1.IndexedCompletion)))
	}
	if p := optional.Value(s.Parallelism); p > maxParallelism {
		errs = append(errs, field.Invalid(path.Child("parallelism"), p,
			fmt.Sprintf("must be less than or equal to %d when completion mode is %s", maxParallelism, batchv1.IndexedCompletion)))
	}
	if s.Completions != nil && s.MaxFailedIndexes != nil && *s.MaxFailedIndexes > *s.Completions {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *s.MaxFailedIndexes, "must be less than or equal to completions"))
	}
	failed := path.Child("maxFailedIndexes")
	if n := optional.Value(s.MaxFailedIndexes); n > maxIndexes {
		errs = append(errs, field.Invalid(failed, n, fmt.Sprintf("must be less than or equal to %d", maxIndexes)))
	}
	if optional.Value(s.Completions) <= maxIndexes || s.BackoffLimitPerIndex == nil {
		return errs
	}
	if s.MaxFailedIndexes == nil {
		errs = append(errs, field.Required(failed, fmt.Sprintf("must be specified when completions is above %d", maxIndexes)))
	}
	why := fmt.Sprintf("must be less than or equal to %d when completions are above %d and used with backoff limit per index", maxOfMany, maxIndexes)
	if n := optional.Value(s.Parallelism); n > maxOfMany {
		errs = append(errs, field.Invalid(path.Child("parallelism"), n, why))
	}
	if n := optional.Value(s.MaxFailedIndexes); n > maxOfMany {
		errs = append(errs, field.Invalid(failed, n, why))
	}
	return errs
}

func validateReplacement(s *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if s.PodReplacementPolicy == nil {
		return nil
	}
	if s.PodFailurePolicy != nil {
		return validate.OneOf(*s.PodReplacementPolicy, path, batchv1.Failed)
	}
	return validate.OneOf(*s.PodReplacementPolicy, path, batchv1.Failed, batchv1.TerminatingOrFailed)
}

// validateJobUpdate says what is wrong twice, as upstream does: once of the
// job, once of the change.
func validateJobUpdate(j, old *batchv1.Job) field.ErrorList {
	path, s, was := field.NewPath("spec"), &j.Spec, &old.Spec
	_, hadUID := was.Template.Labels[batchv1.ControllerUidLabel]
	_, hadName := was.Template.Labels[batchv1.JobNameLabel]
	errs := append(validateHostName(j), validateGenerated(j, hadUID && hadName)...)
	errs = append(errs, validateJobWithSelector(s, was, path)...)
	errs = append(errs, validateJobWithSelector(s, was, path)...)
	errs = append(errs, sameCompletions(s, was, path)...)
	errs = append(errs, validate.Immutable(s.Selector, was.Selector, path.Child("selector"))...)
	errs = append(errs, sameTemplate(s, old, path.Child("template"))...)
	errs = append(errs, validate.Immutable(s.CompletionMode, was.CompletionMode, path.Child("completionMode"))...)
	errs = append(errs, immutable(s.PodFailurePolicy, was.PodFailurePolicy, path.Child("podFailurePolicy"))...)
	errs = append(errs, validate.Immutable(s.BackoffLimitPerIndex, was.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex"))...)
	errs = append(errs, validate.Immutable(s.ManagedBy, was.ManagedBy, path.Child("managedBy"))...)
	return append(errs, immutable(s.SuccessPolicy, was.SuccessPolicy, path.Child("successPolicy"))...)
}

// immutable is validate.Immutable for values of which upstream shows the
// internal form.
func immutable[T any](value, old T, path *field.Path) field.ErrorList {
	if equality.Semantic.DeepEqual(value, old) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, validate.Shown(value), "field is immutable")}
}

// sameCompletions lets only indexed jobs change their completions, together
// with their parallelism (KEP-3715).
func sameCompletions(s, was *batchv1.JobSpec, path *field.Path) field.ErrorList {
	at := path.Child("completions")
	switch {
	case !indexed(s):
		return validate.Immutable(s.Completions, was.Completions, at)
	case s.Completions == nil || equality.Semantic.DeepEqual(s.Completions, was.Completions), *s.Completions == optional.Value(s.Parallelism):
		return nil
	}
	return field.ErrorList{field.Invalid(at, *s.Completions, "can only be modified in tandem with "+path.Child("parallelism").String())}
}

// sameTemplate lets the template change only while the job is suspended and
// has no pods: in what directs pods to nodes (KEP-2926), in labels and
// annotations, and in what containers ask for (KEP-5440).
func sameTemplate(s *batchv1.JobSpec, old *batchv1.Job, path *field.Path) field.ErrorList {
	idle := optional.Value(old.Spec.Suspend) && old.Status.Active == 0 && (old.Status.StartTime == nil || isTrue(&old.Status, batchv1.JobSuspended))
	if !idle {
		return immutable(s.Template, old.Spec.Template, path)
	}
	now, was := &s.Template.Spec, old.Spec.Template.Spec.DeepCopy()
	was.NodeSelector, was.Tolerations, was.SchedulingGates = now.NodeSelector, now.Tolerations, now.SchedulingGates
	takeNodeAffinity(was, now)
	takeResources(was.Containers, now.Containers)
	takeResources(was.InitContainers, now.InitContainers)
	return immutable(*now, *was, path.Child("spec"))
}

// takeNodeAffinity makes was differ from now in no affinity to nodes.
func takeNodeAffinity(was, now *corev1.PodSpec) {
	switch {
	case was.Affinity == nil && now.Affinity == nil:
	case was.Affinity == nil:
		was.Affinity = &corev1.Affinity{NodeAffinity: now.Affinity.NodeAffinity}
	case now.Affinity != nil:
		was.Affinity.NodeAffinity = now.Affinity.NodeAffinity
	default:
		if was.Affinity.NodeAffinity = nil; *was.Affinity == (corev1.Affinity{}) {
			was.Affinity = nil
		}
	}
}

// takeResources makes containers of the same name differ in no resources.
func takeResources(was, now []corev1.Container) {
	if len(was) != len(now) {
		return
	}
	for i := range was {
		if was[i].Name == now[i].Name {
			was[i].Resources = now[i].Resources
		}
	}
}
