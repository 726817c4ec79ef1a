package batch

import (
	"maps"
	"math"
	"reflect"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
)

// Labels of a job's pods; the names without a prefix are the older ones.
const (
	oldControllerUID = "controller-uid"
	oldJobName       = "job-name"
)

func jobRules() api.RulesOf[*batchv1.Job] {
	return api.RulesOf[*batchv1.Job]{
		MetaAgain: true,
		Default:   defaultJob,
		PrepareCreate: func(j *batchv1.Job) {
			j.Status = batchv1.JobStatus{}
			generateSelector(j)
			core.DropTemplateFields(&j.Spec.Template, nil)
		},
		PrepareUpdate: func(j, old *batchv1.Job) {
			j.Status = old.Status
			core.DropTemplateFields(&j.Spec.Template, &old.Spec.Template)
		},
		Validate:       validateJob,
		ValidateUpdate: validateJobUpdate,
		Warn:           warnJob,
		Generation:     func(j, old *batchv1.Job) bool { return !equality.Semantic.DeepEqual(j.Spec, old.Spec) },
	}
}

func jobStatusRules() *api.RulesOf[*batchv1.Job] {
	return &api.RulesOf[*batchv1.Job]{
		Default:        defaultJob,
		PrepareUpdate:  func(j, old *batchv1.Job) { j.Spec = old.Spec },
		ValidateUpdate: validateJobStatus,
	}
}

func defaultJob(j *batchv1.Job) {
	defaultJobSpec(&j.Spec)
	if len(j.Labels) == 0 {
		j.Labels = j.Spec.Template.Labels // shared until generateSelector parts them
	}
}

func defaultJobSpec(s *batchv1.JobSpec) {
	if s.Completions == nil && s.Parallelism == nil {
		optional.Default(&s.Completions, 1)
	}
	optional.Default(&s.Parallelism, 1)
	if s.BackoffLimitPerIndex != nil {
		optional.Default(&s.BackoffLimit, math.MaxInt32)
	}
	optional.Default(&s.BackoffLimit, 6)
	optional.Default(&s.CompletionMode, batchv1.NonIndexedCompletion)
	optional.Default(&s.Suspend, false)
	optional.Default(&s.ManualSelector, false)
	replacement := batchv1.TerminatingOrFailed
	if s.PodFailurePolicy != nil {
		replacement = batchv1.Failed
	}
	defaultFailurePolicy(s.PodFailurePolicy)
	optional.Default(&s.PodReplacementPolicy, replacement)
	core.DefaultPodTemplate(&s.Template)
}

func defaultFailurePolicy(p *batchv1.PodFailurePolicy) {
	if p == nil {
		return
	}
	for i := range p.Rules {
		defaultConditions(p.Rules[i].OnPodConditions)
	}
}

func defaultConditions(patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) {
	for i := range patterns {
		if patterns[i].Status == "" {
			patterns[i].Status = corev1.ConditionTrue
		}
	}
}

// generateSelector makes the job's pods recognizable by the job's UID, unless
// the user took the selector into his own hands. Labels that are there already
// stay, for validation to judge. A job that has its labels from the template
// gets the new ones too, and so does one whose template had none.
func generateSelector(j *batchv1.Job) {
	shared := sameMap(j.Labels, j.Spec.Template.Labels)
	defer func() {
		if shared || len(j.Labels) == 0 && len(validation.IsValidLabelValue(j.Name)) == 0 {
			j.Labels = maps.Clone(j.Spec.Template.Labels)
		}
	}()
	if optional.Value(j.Spec.ManualSelector) {
		return
	}
	labels := maps.Clone(j.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range generatedLabels(j) {
		if _, taken := labels[key]; !taken {
			labels[key] = value
		}
	}
	j.Spec.Template.Labels = labels
	if j.Spec.Selector == nil {
		j.Spec.Selector = &metav1.LabelSelector{}
	}
	matches := maps.Clone(j.Spec.Selector.MatchLabels)
	if matches == nil {
		matches = map[string]string{}
	}
	if _, taken := matches[batchv1.ControllerUidLabel]; !taken {
		matches[batchv1.ControllerUidLabel] = string(j.UID)
	}
	j.Spec.Selector.MatchLabels = matches
}

func sameMap(a, b map[string]string) bool {
	return len(a) > 0 && reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

func generatedLabels(j *batchv1.Job) map[string]string {
	return map[string]string{
		oldControllerUID: string(j.UID), batchv1.ControllerUidLabel: string(j.UID),
		oldJobName: j.Name, batchv1.JobNameLabel: j.Name,
	}
}

func warnJob(j, old *batchv1.Job, isUpdate bool) []string {
	path := field.NewPath("spec", "template")
	if isUpdate {
		return core.PodTemplateWarnings(&j.Spec.Template, &old.Spec.Template, path)
	}
	out := template.NameWarnings(j.Name)
	out = append(out, core.PodTemplateWarnings(&j.Spec.Template, nil, path)...)
	const manyCompletions, manyAtOnce = 100_000, 10_000
	if indexed(&j.Spec) && optional.Value(j.Spec.Completions) > manyCompletions && optional.Value(j.Spec.Parallelism) > manyAtOnce {
		out = append(out, "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
	}
	return out
}

func indexed(s *batchv1.JobSpec) bool {
	return optional.Value(s.CompletionMode) == batchv1.IndexedCompletion
}
