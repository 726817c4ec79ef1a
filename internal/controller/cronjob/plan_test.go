package cronjob

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, "2026-03-"+text+":00Z")
	if err != nil {
		panic(err)
	}
	return t
}

func stamp(text string) *metav1.Time { t := metav1.NewTime(at(text)); return &t }

func cronJob(schedule string, change ...func(*batchv1.CronJob)) *batchv1.CronJob {
	cj := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "tick", UID: "cj", CreationTimestamp: *stamp("01T00:00")},
		Spec:       batchv1.CronJobSpec{Schedule: schedule, ConcurrencyPolicy: batchv1.AllowConcurrent},
	}
	for _, fn := range change {
		fn(cj)
	}
	return cj
}

func zone(name string) func(*batchv1.CronJob) {
	return func(cj *batchv1.CronJob) { cj.Spec.TimeZone = &name }
}

func deadline(seconds int64) func(*batchv1.CronJob) {
	return func(cj *batchv1.CronJob) { cj.Spec.StartingDeadlineSeconds = &seconds }
}

func last(text string) func(*batchv1.CronJob) {
	return func(cj *batchv1.CronJob) { cj.Status.LastScheduleTime = stamp(text) }
}

func TestDue(t *testing.T) {
	for _, c := range []struct {
		name string
		cj   *batchv1.CronJob
		now  string
		want string // empty for none
		many bool
	}{
		{"before the first", cronJob("0 * * * *"), "01T00:30", "", false},
		{"the first", cronJob("0 * * * *"), "01T01:00", "01T01:00", false},
		{"done already", cronJob("0 * * * *", last("01T01:00")), "01T01:30", "", false},
		{"several missed: the newest", cronJob("0 * * * *", last("01T01:00")), "01T05:30", "01T05:00", false},
		{"a great many missed", cronJob("* * * * *", last("01T01:00")), "01T05:30", "01T05:30", true},
		{"missed, but within the deadline", cronJob("* * * * *", last("01T01:00"), deadline(300)), "01T05:30", "01T05:30", false},
		{"too long ago for the deadline", cronJob("0 * * * *", deadline(60)), "01T01:30", "", false},
		{"uneven times", cronJob("* 9-17 * * *", last("01T16:58")), "02T08:00", "01T17:59", true},
		{"a time zone", cronJob("0 9 * * *", zone("Asia/Tokyo")), "01T08:00", "01T00:00", false},
		{"a time that never comes", cronJob("0 0 31 2 *"), "20T00:00", "", false},
	} {
		if c.name == "a time zone" {
			c.cj.CreationTimestamp = *stamp("01T00:00")
			c.cj.CreationTimestamp.Time = c.cj.CreationTimestamp.Add(-time.Minute)
		}
		s, err := scheduleOf(c.cj)
		if err != nil {
			t.Fatal(err)
		}
		got, many, err := due(c.cj, s, at(c.now))
		if err != nil {
			t.Fatal(err)
		}
		want := time.Time{}
		if c.want != "" {
			want = at(c.want)
		}
		if !got.Equal(want) || many != c.many {
			t.Errorf("%s: %s, %t; want %s, %t", c.name, got, many, want, c.many)
		}
	}
}

// TestNewestIsTheLast: halving finds what walking finds.
func TestNewestIsTheLast(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		schedule := rapid.SampledFrom([]string{"* * * * *", "*/7 * * * *", "5 3-6 * * *", "0 12 * * 1", "30 1 1,15 * *", "@hourly"}).Draw(t, "schedule")
		s, err := scheduleOf(cronJob(schedule))
		if err != nil {
			t.Fatal(err)
		}
		first := s.Next(at("01T00:00"))
		now := first.Add(time.Duration(rapid.IntRange(0, 4*24*60).Draw(t, "minutes"))*time.Minute + time.Duration(rapid.IntRange(0, 59).Draw(t, "seconds"))*time.Second)
		want := first
		for next := s.Next(want); !next.After(now); next = s.Next(want) {
			want = next
		}
		if got := newest(s, first, now); !got.Equal(want) {
			t.Fatalf("%s, now %s: %s, want %s", schedule, now, got, want)
		}
	})
}

func job(minute string, typ batchv1.JobConditionType) *batchv1.Job {
	j := newJob(cronJob("* * * * *"), at(minute))
	j.UID, j.CreationTimestamp = types.UID(minute), *stamp(minute)
	j.Status.StartTime = stamp(minute)
	if typ != "" {
		j.Status.Conditions = []batchv1.JobCondition{{Type: typ, Status: corev1.ConditionTrue}}
	}
	if typ == batchv1.JobComplete {
		j.Status.CompletionTime = stamp(minute)
	}
	return j
}

// active puts jobs on the list of the status.
func active(jobs ...*batchv1.Job) func(*batchv1.CronJob) {
	return func(cj *batchv1.CronJob) {
		for _, j := range jobs {
			cj.Status = started(cj.Status, j, j.CreationTimestamp.Time)
		}
	}
}

func (p plan) String() string {
	var b strings.Builder
	for _, j := range p.remove {
		fmt.Fprintln(&b, "remove", j.Name[5:])
	}
	if p.create != nil {
		fmt.Fprintln(&b, "create for", p.at.UTC().Format("02T15:04"))
	}
	for _, e := range p.events {
		fmt.Fprintln(&b, e.typ, e.reason)
	}
	return fmt.Sprintf("%sactive %d, again in %s", b.String(), len(p.status.Active), p.wait)
}

func TestPlan(t *testing.T) {
	policy := func(c batchv1.ConcurrencyPolicy) func(*batchv1.CronJob) {
		return func(cj *batchv1.CronJob) { cj.Spec.ConcurrencyPolicy = c }
	}
	limits := func(cj *batchv1.CronJob) {
		one := int32(1)
		cj.Spec.SuccessfulJobsHistoryLimit, cj.Spec.FailedJobsHistoryLimit = &one, &one
	}
	yes := true
	held := func(cj *batchv1.CronJob) { cj.Spec.Suspend = &yes }
	running, done, bad := job("01T00:01", ""), job("01T00:01", batchv1.JobComplete), job("01T00:00", batchv1.JobFailed)
	older := job("01T00:00", batchv1.JobComplete)
	minute := func(j *batchv1.Job) string { return jobName(cronJob(""), j.CreationTimestamp.Time)[5:] }
	const every = "* * * * *"
	for _, c := range []struct {
		name string
		cj   *batchv1.CronJob
		jobs []*batchv1.Job
		want string
	}{
		{"due", cronJob(every), nil, "create for 01T00:02\nactive 0, again in 30s"},
		{"held", cronJob(every, held), nil, "active 0, again in 0s"},
		{"one runs, allowed", cronJob(every, active(running)), []*batchv1.Job{running}, "create for 01T00:02\nactive 1, again in 30s"},
		{"one runs, forbidden", cronJob(every, active(running), policy("Forbid")), []*batchv1.Job{running}, "Normal JobAlreadyActive\nactive 1, again in 30s"},
		{"one runs, replaced", cronJob(every, active(running), policy("Replace")), []*batchv1.Job{running},
			"remove " + minute(running) + "\ncreate for 01T00:02\nactive 0, again in 30s"},
		{"one has ended", cronJob(every, active(done), policy("Forbid")), []*batchv1.Job{done}, "create for 01T00:02\nNormal SawCompletedJob\nactive 0, again in 30s"},
		{"one is gone", cronJob(every, active(running), policy("Forbid")), nil, "create for 01T00:02\nNormal MissingJob\nactive 0, again in 30s"},
		{"one that was not known", cronJob(every, held), []*batchv1.Job{running}, "Warning UnexpectedJob\nactive 0, again in 0s"},
		{"history", cronJob(every, limits, held), []*batchv1.Job{done, bad, older}, "remove " + minute(older) + "\nactive 0, again in 0s"},
		{"zone in the schedule", cronJob("TZ=UTC 0 0 1 1 *"), nil, "Warning UnsupportedSchedule\nactive 0, again in 7343h57m30s"},
		{"unknown zone", cronJob(every, zone("Nowhere/Land")), nil, "Warning UnknownTimeZone\nactive 0, again in 0s"},
		{"no schedule", cronJob("whenever"), nil, "Warning UnparseableSchedule\nactive 0, again in 0s"},
		{"going away", cronJob(every, func(cj *batchv1.CronJob) { cj.DeletionTimestamp = stamp("01T00:00") }), nil, "active 0, again in 0s"},
	} {
		got := next(input{cj: c.cj, jobs: c.jobs, now: at("01T00:02").Add(30 * time.Second)})
		if diff := cmp.Diff(c.want, got.String()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestJobOfAStart(t *testing.T) {
	cj := cronJob("0 9 * * *", zone("Asia/Tokyo"))
	cj.Spec.JobTemplate.Labels = map[string]string{"a": "b"}
	j := newJob(cj, at("01T00:00"))
	if j.Name != fmt.Sprintf("tick-%d", at("01T00:00").Unix()/60) || j.Labels["a"] != "b" || !metav1.IsControlledBy(j, cj) ||
		j.Annotations[batchv1.CronJobScheduledTimestampAnnotation] != "2026-03-01T09:00:00+09:00" {
		t.Errorf("%+v", j.ObjectMeta)
	}
	s := started(batchv1.CronJobStatus{}, j, at("01T00:00"))
	if s = started(s, j, at("01T00:00")); len(s.Active) != 1 || !s.LastScheduleTime.Time.Equal(at("01T00:00")) {
		t.Errorf("status: %+v", s)
	}
}
