package controller_test

import (
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
)

// TestCronJobLife: a job each minute, unless the last one runs still and must
// not be joined.
func TestCronJobLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{Nodes: 1})
		create(t, c, &batchv1.CronJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "tick"},
			Spec: batchv1.CronJobSpec{
				Schedule: "* * * * *", ConcurrencyPolicy: batchv1.ForbidConcurrent,
				JobTemplate: batchv1.JobTemplateSpec{Spec: newJob("x").Spec},
			},
		})
		jobs := func() []*batchv1.Job { return list[*batchv1.Job](t, c, "default", nil) }
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() } // virtual
		pass(61 * time.Second)
		if n := len(jobs()); n != 1 {
			t.Fatalf("%d jobs after a minute, want 1", n)
		}
		first := jobs()[0].Name
		pass(2 * time.Minute)
		if n := len(jobs()); n != 1 {
			t.Fatalf("%d jobs while the first one runs, want 1", n)
		}
		cj, _ := get[*batchv1.CronJob](t, c, "default", "tick")
		if s := cj.Status; len(s.Active) != 1 || s.Active[0].Name != first || s.LastScheduleTime == nil {
			t.Errorf("status: %+v", s)
		}
		for _, pod := range list[*corev1.Pod](t, c, "default", map[string]string{"job-name": first}) {
			endPod(t, c, pod.Name, corev1.PodSucceeded)
		}
		pass(time.Second)
		cj, _ = get[*batchv1.CronJob](t, c, "default", "tick")
		if cj.Status.LastSuccessfulTime == nil {
			t.Errorf("status: %+v", cj.Status)
		}
		pass(time.Minute)
		if n := len(jobs()); n != 2 {
			t.Fatalf("%d jobs after the first one ended, want 2", n)
		}
		edit(t, c, "default", "tick", func(cj *batchv1.CronJob) { yes := true; cj.Spec.Suspend = &yes })
		remove[*batchv1.CronJob](t, c, "default", "tick", metav1.DeletePropagationBackground)
		pass(time.Minute)
		if n := len(jobs()); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
	})
}
