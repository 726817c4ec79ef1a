package batch

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// statusCheck holds one write of a job's status against what it was before
// (KEP-3850, KEP-4368). What did not change is not held against the writer.
type statusCheck struct {
	job      *batchv1.Job
	now, was *batchv1.JobStatus
	path     *field.Path
	errs     field.ErrorList
}

func validateJobStatus(j, old *batchv1.Job) field.ErrorList {
	c := statusCheck{job: j, now: &j.Status, was: &old.Status, path: field.NewPath("status")}
	c.counts()
	c.uncounted()
	c.indexes()
	c.start(optional.Value(old.Spec.Suspend))
	c.completion()
	c.conditions()
	return c.errs
}

func (c *statusCheck) invalid(child string, value any, why string) {
	c.errs = append(c.errs, field.Invalid(c.path.Child(child), value, why))
}

// became tells of conditions whose truth is another than before.
func (c *statusCheck) became(types ...batchv1.JobConditionType) bool {
	return slices.ContainsFunc(types, func(t batchv1.JobConditionType) bool {
		return isTrue(c.now, t) != isTrue(c.was, t)
	})
}

func isTrue(s *batchv1.JobStatus, t batchv1.JobConditionType) bool {
	return slices.ContainsFunc(s.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == t && c.Status == corev1.ConditionTrue
	})
}

func isFinished(s *batchv1.JobStatus) bool {
	return isTrue(s, batchv1.JobComplete) || isTrue(s, batchv1.JobFailed)
}

func (c *statusCheck) counts() {
	now, was := c.now, c.was
	c.errs = append(c.errs, template.NonNegative(c.path,
		template.Number{Name: "active", Value: int64(now.Active)},
		template.Number{Name: "succeeded", Value: int64(now.Succeeded)},
		template.Number{Name: "failed", Value: int64(now.Failed)})...)
	c.errs = append(c.errs, notNegative(now.Ready, c.path.Child("ready"))...)
	c.errs = append(c.errs, notNegative(now.Terminating, c.path.Child("terminating"))...)
	finishes := isFinished(now) != isFinished(was)
	if isFinished(now) && (finishes || now.Active != was.Active) && now.Active > 0 {
		c.invalid("active", now.Active, "active>0 is invalid for finished job")
	}
	if isFinished(now) && (finishes || optional.Value(now.Terminating) != optional.Value(was.Terminating)) && optional.Value(now.Terminating) > 0 {
		c.invalid("terminating", *now.Terminating, "terminating>0 is invalid for finished job")
	}
	if now.Ready != nil && (*now.Ready != optional.Value(was.Ready) || now.Active != was.Active) && *now.Ready > now.Active {
		c.invalid("ready", *now.Ready, "cannot set more ready pods than active")
	}
	if now.Failed < was.Failed {
		c.invalid("failed", now.Failed, "cannot decrease the failed counter")
	}
	if now.Succeeded < was.Succeeded {
		c.invalid("succeeded", now.Succeeded, "cannot decrease the succeeded counter")
	}
}

func (c *statusCheck) uncounted() {
	pods, path := c.now.UncountedTerminatedPods, c.path.Child("uncountedTerminatedPods")
	if pods == nil {
		return
	}
	seen := map[types.UID]bool{}
	for _, l := range []struct {
		name string
		uids []types.UID
	}{{"succeeded", pods.Succeeded}, {"failed", pods.Failed}} {
		for i, uid := range l.uids {
			at := path.Child(l.name).Index(i)
			switch {
			case uid == "":
				c.errs = append(c.errs, field.Invalid(at, uid, "must not be empty"))
			case seen[uid]:
				c.errs = append(c.errs, field.Duplicate(at, uid))
			}
			seen[uid] = true
		}
	}
	changed := !equality.Semantic.DeepEqual(pods, c.was.UncountedTerminatedPods)
	if (changed || isFinished(c.now) != isFinished(c.was)) && isFinished(c.now) && len(seen) > 0 {
		c.errs = append(c.errs, field.Invalid(path, validate.Shown(pods), "must be empty for finished job"))
	}
}

func (c *statusCheck) indexes() {
	spec, now := &c.job.Spec, c.now
	done, failed := now.CompletedIndexes, optional.Value(now.FailedIndexes)
	doneChanged := done != c.was.CompletedIndexes
	failedChanged := !equality.Semantic.DeepEqual(now.FailedIndexes, c.was.FailedIndexes)
	if doneChanged {
		if done != "" && !indexed(spec) {
			c.invalid("completedIndexes", done, "cannot set non-empty completedIndexes when non-indexed completion mode")
		}
		c.parse("completedIndexes", done)
	}
	if failedChanged {
		if spec.BackoffLimitPerIndex != nil {
			c.parse("failedIndexes", failed)
		} else if now.FailedIndexes != nil {
			c.invalid("failedIndexes", failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null")
		}
	}
}

func (c *statusCheck) parse(child, list string) {
	if _, err := countIndexes(list, optional.Value(c.job.Spec.Completions)); err != nil {
		c.invalid(child, list, fmt.Sprintf("error parsing %s: %s", child, err))
	}
}

// start wants a start time of a finished job, and keeps that of a job which
// is not suspended, nor was until now.
func (c *statusCheck) start(wasSuspended bool) {
	now, was := c.now.StartTime, c.was.StartTime
	changed := !equality.Semantic.DeepEqual(now, was)
	if isFinished(c.now) && now == nil && (changed || isFinished(c.now) != isFinished(c.was)) {
		c.errs = append(c.errs, field.Required(c.path.Child("startTime"), "startTime is required for finished job"))
	}
	if changed && was != nil && !optional.Value(c.job.Spec.Suspend) && !wasSuspended && !isTrue(c.was, batchv1.JobSuspended) {
		c.invalid("startTime", now, "field is immutable for unsuspended job once set")
	}
}

func (c *statusCheck) completion() {
	now, was := c.now.CompletionTime, c.was.CompletionTime
	complete := isTrue(c.now, batchv1.JobComplete)
	changed := !equality.Semantic.DeepEqual(now, was)
	if changed || c.became(batchv1.JobComplete) {
		switch {
		case complete && now == nil:
			c.errs = append(c.errs, field.Required(c.path.Child("completionTime"), "completionTime is required for Complete jobs"))
		case !complete && now != nil:
			c.invalid("completionTime", now, "cannot set completionTime when there is no Complete=True condition")
		}
	}
	if changed && now != nil && was != nil {
		c.invalid("completionTime", now, "field is immutable")
	}
	start := c.now.StartTime
	if startChanged := !equality.Semantic.DeepEqual(start, c.was.StartTime); !changed && !startChanged {
		return
	}
	if now != nil && start != nil && now.Before(start) {
		c.invalid("completionTime", now, "must be equal to or after `startTime`")
	}
}

func (c *statusCheck) conditions() {
	has := func(t batchv1.JobConditionType) bool { return isTrue(c.now, t) }
	for _, t := range []batchv1.JobConditionType{batchv1.JobFailed, batchv1.JobComplete, batchv1.JobFailureTarget} {
		if isTrue(c.was, t) && !has(t) {
			c.condition(fmt.Sprintf("cannot disable the terminal %s=True condition", t))
		}
	}
	if isTrue(c.was, batchv1.JobSuccessCriteriaMet) && !has(batchv1.JobSuccessCriteriaMet) {
		c.condition("cannot disable the SuccessCriteriaMet=True condition")
	}
	failedIndexes := !equality.Semantic.DeepEqual(c.now.FailedIndexes, c.was.FailedIndexes)
	for _, r := range []struct {
		broken bool
		why    string
		of     []batchv1.JobConditionType
		// indexes tells that changed failed indexes are looked at too.
		indexes bool
	}{
		{
			has(batchv1.JobFailed) && !has(batchv1.JobFailureTarget),
			"cannot set Failed=True condition without the FailureTarget=true condition",
			[]batchv1.JobConditionType{batchv1.JobFailed}, true,
		},
		{
			has(batchv1.JobComplete) && !has(batchv1.JobSuccessCriteriaMet),
			"cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
			[]batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobSuccessCriteriaMet}, false,
		},
		{
			has(batchv1.JobComplete) && has(batchv1.JobFailed),
			"cannot set Complete=True and Failed=true conditions",
			[]batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed}, false,
		},
		{
			has(batchv1.JobComplete) && has(batchv1.JobFailureTarget),
			"cannot set Complete=True and FailureTarget=true conditions",
			[]batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailureTarget}, false,
		},
	} {
		if r.broken && (c.became(r.of...) || r.indexes && failedIndexes) {
			c.condition(r.why)
		}
	}
	c.successCriteria()
}

// successCriteria are the rules that hold whatever was there before.
func (c *statusCheck) successCriteria() {
	has := func(t batchv1.JobConditionType) bool { return isTrue(c.now, t) }
	met := has(batchv1.JobSuccessCriteriaMet)
	if met && has(batchv1.JobFailed) {
		c.condition("cannot set SuccessCriteriaMet=True and Failed=true conditions")
	}
	if met && has(batchv1.JobFailureTarget) {
		c.condition("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
	}
	if c.job.Spec.SuccessPolicy != nil && !met && has(batchv1.JobComplete) {
		c.condition("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
	}
}

func (c *statusCheck) condition(why string) {
	c.errs = append(c.errs, field.Invalid(c.path.Child("conditions"), field.OmitValueType{}, why))
}
