package batch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// maxCronJobName leaves room for the eleven characters that a job's name adds.
const maxCronJobName = 63 - 11

// CronJob makes a job whenever its schedule says so.
func CronJob() *api.Kind {
	return api.Spec[*batchv1.CronJob]{
		Group: group, Version: version, Name: "CronJob",
		Resource: "cronjobs", Singular: "cronjob", ShortNames: []string{"cj"}, Categories: []string{"all"},
		Namespaced: true,
		New:        func() *batchv1.CronJob { return &batchv1.CronJob{} },
		NewList:    func() runtime.Object { return &batchv1.CronJobList{} },
		Main: api.RulesOf[*batchv1.CronJob]{
			Default: defaultCronJob,
			PrepareCreate: func(c *batchv1.CronJob) {
				c.Status = batchv1.CronJobStatus{}
				core.DropTemplateFields(&c.Spec.JobTemplate.Spec.Template, nil)
			},
			PrepareUpdate: func(c, old *batchv1.CronJob) {
				c.Status = old.Status
				core.DropTemplateFields(&c.Spec.JobTemplate.Spec.Template, &old.Spec.JobTemplate.Spec.Template)
			},
			Validate:       validateCronJob,
			ValidateUpdate: validateCronJobUpdate,
			Warn:           warnCronJob,
			Generation:     func(c, old *batchv1.CronJob) bool { return !equality.Semantic.DeepEqual(c.Spec, old.Spec) },
		},
		Status: &api.RulesOf[*batchv1.CronJob]{
			Default:       defaultCronJob,
			PrepareUpdate: func(c, old *batchv1.CronJob) { c.Spec = old.Spec },
		},
		Columns: cronJobColumns(), Row: cronJobRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func cronJobColumns() []api.Column {
	spec, status := batchv1.CronJobSpec{}, batchv1.CronJobStatus{}
	return append(append([]api.Column{
		column.Name(),
		column.Text("Schedule", column.Doc(spec, "schedule")),
		column.Text("Timezone", column.Doc(spec, "timeZone")),
		{Name: "Suspend", Type: "boolean", Description: column.Doc(spec, "suspend")},
		column.Number("Active", column.Doc(status, "active")),
		column.Text("Last Schedule", column.Doc(status, "lastScheduleTime")),
		column.Age(),
	}, template.Columns()...), selectorColumn())
}

func cronJobRow(c *batchv1.CronJob, now time.Time) []any {
	last, zone, suspend := column.None, column.None, "<unset>"
	if c.Status.LastScheduleTime != nil {
		last = column.Since(*c.Status.LastScheduleTime, now)
	}
	if c.Spec.TimeZone != nil {
		zone = *c.Spec.TimeZone
	}
	if c.Spec.Suspend != nil {
		suspend = "False"
		if *c.Spec.Suspend {
			suspend = "True"
		}
	}
	names, images := template.Cells(&c.Spec.JobTemplate.Spec.Template.Spec)
	return []any{
		c.Name, c.Spec.Schedule, zone, suspend, int64(len(c.Status.Active)), last,
		column.Since(c.CreationTimestamp, now), names, images, column.Selector(c.Spec.JobTemplate.Spec.Selector),
	}
}

// defaultCronJob leaves the job's own fields alone, but for the patterns of its
// failure policy: a job gets its defaults when it is made.
func defaultCronJob(c *batchv1.CronJob) {
	if c.Spec.ConcurrencyPolicy == "" {
		c.Spec.ConcurrencyPolicy = batchv1.AllowConcurrent
	}
	optional.Default(&c.Spec.Suspend, false)
	optional.Default(&c.Spec.SuccessfulJobsHistoryLimit, 3)
	optional.Default(&c.Spec.FailedJobsHistoryLimit, 1)
	defaultFailurePolicy(c.Spec.JobTemplate.Spec.PodFailurePolicy)
	core.DefaultPodTemplate(&c.Spec.JobTemplate.Spec.Template)
}

func validateCronJob(c *batchv1.CronJob) field.ErrorList {
	errs := validateCronJobSpec(&c.Spec, nil)
	if len(c.Name) > maxCronJobName {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), c.Name,
			fmt.Sprintf("must be no more than %d characters", maxCronJobName)))
	}
	return errs
}

func validateCronJobUpdate(c, old *batchv1.CronJob) field.ErrorList {
	return validateCronJobSpec(&c.Spec, &old.Spec)
}

func validateCronJobSpec(s, old *batchv1.CronJobSpec) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if s.Schedule == "" {
		errs = append(errs, field.Required(path.Child("schedule"), ""))
	} else {
		errs = append(errs, validateSchedule(s, old, path.Child("schedule"))...)
	}
	if s.StartingDeadlineSeconds != nil {
		errs = append(errs, validate.NonNegative(*s.StartingDeadlineSeconds, path.Child("startingDeadlineSeconds"))...)
	}
	if old == nil || !equality.Semantic.DeepEqual(s.TimeZone, old.TimeZone) {
		errs = append(errs, validateTimeZone(s.TimeZone, path.Child("timeZone"))...)
	}
	errs = append(errs, validateConcurrency(s.ConcurrencyPolicy, path.Child("concurrencyPolicy"))...)
	var before *batchv1.JobSpec
	if old != nil {
		before = &old.JobTemplate.Spec
	}
	job := path.Child("jobTemplate", "spec")
	errs = append(errs, validateJobSpec(&s.JobTemplate.Spec, before, job)...)
	if sel := s.JobTemplate.Spec.Selector; sel != nil {
		errs = append(errs, field.Invalid(job.Child("selector"), sel, "`selector` will be auto-generated"))
	}
	if s.JobTemplate.Spec.ManualSelector != nil && *s.JobTemplate.Spec.ManualSelector {
		errs = append(errs, field.NotSupported(job.Child("manualSelector"), true, []string{"nil", "false"}))
	}
	errs = append(errs, notNegative(s.SuccessfulJobsHistoryLimit, path.Child("successfulJobsHistoryLimit"))...)
	return append(errs, notNegative(s.FailedJobsHistoryLimit, path.Child("failedJobsHistoryLimit"))...)
}

func validateConcurrency(p batchv1.ConcurrencyPolicy, path *field.Path) field.ErrorList {
	return validate.RequiredOneOf(p, path, batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)
}

// validateSchedule wants a schedule that can be read. A time zone belongs into
// a field of its own; a job that named one in its schedule may keep it there,
// as long as it does not name another in the field.
func validateSchedule(s, old *batchv1.CronJobSpec, path *field.Path) field.ErrorList {
	var whys []string
	if _, err := cron.ParseStandard(s.Schedule); err != nil {
		whys = append(whys, err.Error())
	}
	if namesZone(s) {
		if old == nil || !namesZone(old) {
			whys = append(whys, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
		} else if s.TimeZone != nil {
			whys = append(whys, "cannot use both timeZone field and TZ or CRON_TZ in schedule")
		}
	}
	return validate.Each(whys, s.Schedule, path)
}

// namesZone tells of a time zone inside of the schedule.
func namesZone(s *batchv1.CronJobSpec) bool { return strings.Contains(s.Schedule, "TZ") }

func validateTimeZone(zone *string, path *field.Path) field.ErrorList {
	switch {
	case zone == nil:
		return nil
	case *zone == "":
		return field.ErrorList{field.Invalid(path, *zone, "timeZone must be nil or non-empty string")}
	case slices.ContainsFunc(strings.Split(*zone, "/"), notOfZone):
		return field.ErrorList{field.Invalid(path, *zone, "unknown time zone "+*zone)}
	}
	var errs field.ErrorList
	if strings.EqualFold(*zone, "Local") {
		errs = append(errs, field.Invalid(path, *zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
	}
	if _, err := time.LoadLocation(*zone); err != nil {
		errs = append(errs, field.Invalid(path, *zone, err.Error()))
	}
	return errs
}

// notOfZone tells of a part that names of time zones do not have: they are
// looked up as files.
func notOfZone(part string) bool {
	const longest = 14
	if part == "" || part == "." || part == ".." || len(part) > longest || part[0] == '-' {
		return true
	}
	return strings.ContainsFunc(part, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(".-_+", r)
	})
}

func warnCronJob(c, old *batchv1.CronJob, isUpdate bool) []string {
	path := field.NewPath("spec", "jobTemplate", "spec", "template")
	var out []string
	if !isUpdate {
		out = append(template.NameWarnings(c.Name), core.PodTemplateWarnings(&c.Spec.JobTemplate.Spec.Template, nil, path)...)
	} else {
		out = core.PodTemplateWarnings(&c.Spec.JobTemplate.Spec.Template, &old.Spec.JobTemplate.Spec.Template, path)
	}
	if namesZone(&c.Spec) {
		out = append(out, fmt.Sprintf("spec.schedule: cannot use TZ or CRON_TZ in schedule, use timeZone field instead. Current schedule: %q", c.Spec.Schedule))
	}
	return out
}
