package cronjob

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
)

// manyMissed is how many missed starts are worth a warning, as upstream's.
const manyMissed = 100

// scheduleOf reads a schedule in its time zone.
func scheduleOf(cj *batchv1.CronJob) (cron.Schedule, error) {
	text := cj.Spec.Schedule
	if cj.Spec.TimeZone != nil && !strings.Contains(text, "TZ") {
		text = "TZ=" + *cj.Spec.TimeZone + " " + text
	}
	return cron.ParseStandard(text)
}

// due is the newest time at which a job should have started and has not; zero
// when there is none. many tells that a great number was missed, which a
// wrong clock or a long outage explains.
func due(cj *batchv1.CronJob, s cron.Schedule, now time.Time) (at time.Time, many bool, err error) {
	since := cj.CreationTimestamp.Time
	if cj.Status.LastScheduleTime != nil {
		since = cj.Status.LastScheduleTime.Time
	}
	if cj.Spec.StartingDeadlineSeconds != nil {
		if limit := now.Add(-time.Duration(*cj.Spec.StartingDeadlineSeconds) * time.Second); limit.After(since) {
			since = limit
		}
	}
	first := s.Next(since)
	if first.IsZero() || first.After(now) {
		return time.Time{}, false, nil
	}
	second := s.Next(first)
	if second.IsZero() || second.After(now) {
		return first, false, nil
	}
	interval := second.Sub(first)
	if interval < time.Second {
		return time.Time{}, false, errors.New("time difference between two schedules is less than 1 second")
	}
	return newest(s, first, now), int64(now.Sub(first)/interval)+1 > manyMissed, nil
}

// newest halves the time between a start that is not after now, and now,
// until it is left with the last start.
func newest(s cron.Schedule, low, now time.Time) time.Time {
	high := now
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		if next := s.Next(middle); !next.IsZero() && !next.After(now) {
			low = next
		} else {
			high = middle
		}
	}
	return low
}

// jobName is the same for the same start, so that a start never makes two
// jobs.
func jobName(cj *batchv1.CronJob, at time.Time) string {
	return fmt.Sprintf("%s-%d", cj.Name, at.Unix()/60)
}
