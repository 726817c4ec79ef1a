package batch

import (
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
)

// Job runs pods until enough of them have succeeded.
func Job() *api.Kind {
	return api.Spec[*batchv1.Job]{
		Group: group, Version: version, Name: "Job",
		Resource: "jobs", Singular: "job", Categories: []string{"all"},
		Namespaced: true,
		New:        func() *batchv1.Job { return &batchv1.Job{} },
		NewList:    func() runtime.Object { return &batchv1.JobList{} },
		Main:       jobRules(), Status: jobStatusRules(),
		Columns: jobColumns(), Row: jobRow,
		Fields: func(j *batchv1.Job) fields.Set {
			return fields.Set{"status.successful": strconv.Itoa(int(j.Status.Succeeded))}
		},
		FieldNames:          []string{"status.successful"},
		UnconditionalUpdate: true,
		OrphanByDefault:     true,
	}.Kind()
}

func jobColumns() []api.Column {
	return append(append([]api.Column{
		column.Name(),
		column.Text("Status", "Status of the job."),
		column.Text("Completions", column.Doc(batchv1.JobStatus{}, "succeeded")),
		column.Text("Duration", "Time required to complete the job."),
		column.Age(),
	}, template.Columns()...), selectorColumn())
}

func selectorColumn() api.Column {
	return column.Wide(column.Text("Selector", column.Doc(batchv1.JobSpec{}, "selector")))
}

func jobRow(j *batchv1.Job, now time.Time) []any {
	names, images := template.Cells(&j.Spec.Template.Spec)
	return []any{
		j.Name, jobState(j), completions(j), jobDuration(j, now), column.Since(j.CreationTimestamp, now),
		names, images, column.Selector(j.Spec.Selector),
	}
}

func completions(j *batchv1.Job) string {
	switch parallelism := optional.Value(j.Spec.Parallelism); {
	case j.Spec.Completions != nil:
		return fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
	case parallelism > 1:
		return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, parallelism)
	}
	return fmt.Sprintf("%d/1", j.Status.Succeeded)
}

// jobState is the condition that says most of the job.
func jobState(j *batchv1.Job) string {
	for _, t := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		if hasCondition(j, t) {
			return string(t)
		}
	}
	switch {
	case j.DeletionTimestamp != nil:
		return "Terminating"
	case hasCondition(j, batchv1.JobSuspended):
		return string(batchv1.JobSuspended)
	case hasCondition(j, batchv1.JobFailureTarget):
		return string(batchv1.JobFailureTarget)
	case hasCondition(j, batchv1.JobSuccessCriteriaMet):
		return string(batchv1.JobSuccessCriteriaMet)
	}
	return "Running"
}

func hasCondition(j *batchv1.Job, t batchv1.JobConditionType) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func jobDuration(j *batchv1.Job, now time.Time) string {
	switch {
	case j.Status.StartTime == nil:
		return ""
	case j.Status.CompletionTime == nil:
		return duration.HumanDuration(now.Sub(j.Status.StartTime.Time))
	}
	return duration.HumanDuration(j.Status.CompletionTime.Sub(j.Status.StartTime.Time))
}
