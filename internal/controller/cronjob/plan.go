package cronjob

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

// input is everything that a plan looks at. Nothing in it is changed.
type input struct {
	cj   *batchv1.CronJob
	jobs []*batchv1.Job // that it controls
	now  time.Time
}

// plan is the next step, taken in this order: deletions, creation, status.
type plan struct {
	remove []*batchv1.Job // old ones beyond the history's limits, and such as are replaced
	create *batchv1.Job
	// at is the start that create is for; the status tells of it once the job
	// is there.
	at     time.Time
	status batchv1.CronJobStatus
	wait   time.Duration // until the next start; zero for never
	events []event
}

type event struct{ typ, reason, message string }

func (p *plan) tell(typ, reason, format string, args ...any) {
	p.events = append(p.events, event{typ, reason, fmt.Sprintf(format, args...)})
}

func next(in input) plan {
	p := plan{status: *in.cj.Status.DeepCopy()}
	p.follow(in)
	if in.cj.DeletionTimestamp == nil {
		p.forget(in)
		p.start(in)
	}
	return p
}

// follow brings the list of active jobs up to date.
func (p *plan) follow(in input) {
	here := map[types.UID]bool{}
	for _, j := range in.jobs {
		here[j.UID] = true
		i := slices.IndexFunc(p.status.Active, func(ref corev1.ObjectReference) bool { return ref.UID == j.UID })
		typ, over := ended(j)
		switch {
		case i < 0 && !over:
			p.tell(corev1.EventTypeWarning, "UnexpectedJob", "Saw a job that the controller did not create or forgot: %s", j.Name)
		case i >= 0 && over:
			p.status.Active = slices.Delete(p.status.Active, i, i+1)
			p.tell(corev1.EventTypeNormal, "SawCompletedJob", "Saw completed job: %s, condition: %v", j.Name, typ)
		}
		if over && typ == batchv1.JobComplete && j.Status.CompletionTime != nil &&
			(p.status.LastSuccessfulTime == nil || p.status.LastSuccessfulTime.Before(j.Status.CompletionTime)) {
			p.status.LastSuccessfulTime = j.Status.CompletionTime.DeepCopy()
		}
	}
	p.status.Active = slices.DeleteFunc(p.status.Active, func(ref corev1.ObjectReference) bool {
		if here[ref.UID] {
			return false
		}
		p.tell(corev1.EventTypeNormal, "MissingJob", "Active job went missing: %v", ref.Name)
		return true
	})
	if len(p.status.Active) == 0 {
		p.status.Active = nil
	}
}

// ended tells whether a job is over, and how.
func ended(j *batchv1.Job) (batchv1.JobConditionType, bool) {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return c.Type, true
		}
	}
	return "", false
}

// forget removes the oldest jobs beyond the limits of the history.
func (p *plan) forget(in input) {
	var good, bad []*batchv1.Job
	for _, j := range in.jobs {
		switch typ, over := ended(j); {
		case over && typ == batchv1.JobComplete:
			good = append(good, j)
		case over:
			bad = append(bad, j)
		}
	}
	p.removeOldest(good, in.cj.Spec.SuccessfulJobsHistoryLimit)
	p.removeOldest(bad, in.cj.Spec.FailedJobsHistoryLimit)
}

func (p *plan) removeOldest(list []*batchv1.Job, limit *int32) {
	if limit == nil || len(list) <= int(*limit) {
		return
	}
	slices.SortFunc(list, func(a, b *batchv1.Job) int {
		return cmp.Or(begun(a).Compare(begun(b)), cmp.Compare(a.Name, b.Name))
	})
	for _, j := range list[:len(list)-int(*limit)] {
		if j.DeletionTimestamp == nil {
			p.remove = append(p.remove, j)
		}
	}
}

func begun(j *batchv1.Job) time.Time {
	if j.Status.StartTime != nil {
		return j.Status.StartTime.Time
	}
	return j.CreationTimestamp.Time
}

// start plans the job that is due, if there is one and it may run.
func (p *plan) start(in input) {
	cj := in.cj
	if cj.Spec.TimeZone != nil {
		if _, err := time.LoadLocation(*cj.Spec.TimeZone); err != nil {
			p.tell(corev1.EventTypeWarning, "UnknownTimeZone", "invalid timeZone: %q: %s", *cj.Spec.TimeZone, err)
			return
		}
	}
	if cj.Spec.Suspend != nil && *cj.Spec.Suspend {
		return
	}
	s, err := scheduleOf(cj)
	if err != nil {
		p.tell(corev1.EventTypeWarning, "UnparseableSchedule", "unparseable schedule: %q : %s", cj.Spec.Schedule, err)
		return
	}
	if strings.Contains(cj.Spec.Schedule, "TZ") {
		p.tell(corev1.EventTypeWarning, "UnsupportedSchedule", "CRON_TZ or TZ used in schedule %q is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details", cj.Spec.Schedule)
	}
	at, many, err := due(cj, s, in.now)
	if err != nil {
		p.tell(corev1.EventTypeWarning, "InvalidSchedule", "invalid schedule: %s : %s", cj.Spec.Schedule, err)
		return
	}
	if following := s.Next(in.now); !following.IsZero() {
		p.wait = following.Sub(in.now)
	}
	if many {
		p.tell(corev1.EventTypeWarning, "TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
	}
	if !at.IsZero() {
		p.startAt(in, at)
	}
}

func (p *plan) startAt(in input, at time.Time) {
	cj := in.cj
	if d := cj.Spec.StartingDeadlineSeconds; d != nil && at.Add(time.Duration(*d)*time.Second).Before(in.now) {
		p.tell(corev1.EventTypeWarning, "MissSchedule", "Missed scheduled time to start a job: %s", at.UTC().Format(time.RFC1123Z))
		return
	}
	name := jobName(cj, at)
	if slices.ContainsFunc(p.status.Active, func(ref corev1.ObjectReference) bool { return ref.Name == name }) {
		return
	}
	if len(p.status.Active) > 0 {
		switch cj.Spec.ConcurrencyPolicy {
		case batchv1.ForbidConcurrent:
			p.tell(corev1.EventTypeNormal, "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
			return
		case batchv1.ReplaceConcurrent:
			p.replace(in.jobs)
		}
	}
	p.at, p.create = at, newJob(cj, at)
}

// replace removes what is active.
func (p *plan) replace(jobs []*batchv1.Job) {
	for _, ref := range p.status.Active {
		for _, j := range jobs {
			if j.UID == ref.UID {
				p.remove = append(p.remove, j)
			}
		}
	}
	p.status.Active = nil
}

// newJob is the job of a start.
func newJob(cj *batchv1.CronJob, at time.Time) *batchv1.Job {
	t := &cj.Spec.JobTemplate
	annotations := maps.Clone(t.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	local := at.UTC()
	if cj.Spec.TimeZone != nil {
		if zone, err := time.LoadLocation(*cj.Spec.TimeZone); err == nil {
			local = at.In(zone)
		}
	}
	annotations[batchv1.CronJobScheduledTimestampAnnotation] = local.Format(time.RFC3339)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: cj.Namespace, Name: jobName(cj, at),
			Labels: maps.Clone(t.Labels), Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{own.Ref(cj, batchv1.SchemeGroupVersion.WithKind("CronJob"))},
		},
		Spec: *t.Spec.DeepCopy(),
	}
}

// started is the status once the job of a start is there.
func started(s batchv1.CronJobStatus, j *batchv1.Job, at time.Time) batchv1.CronJobStatus {
	if !slices.ContainsFunc(s.Active, func(ref corev1.ObjectReference) bool { return ref.UID == j.UID }) {
		s.Active = append(slices.Clone(s.Active), corev1.ObjectReference{
			APIVersion: "batch/v1", Kind: "Job", Namespace: j.Namespace, Name: j.Name, UID: j.UID, ResourceVersion: j.ResourceVersion,
		})
	}
	when := metav1.NewTime(at)
	s.LastScheduleTime = &when
	return s
}
