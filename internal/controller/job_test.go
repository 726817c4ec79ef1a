package controller_test

import (
	"testing"
	"testing/synctest"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apirequest "github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func newJob(name string, change ...func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}},
		}}},
	}
	for _, fn := range change {
		fn(j)
	}
	return j
}

// endPod is what a node says of a pod whose containers have exited.
func endPod(t *testing.T, c *testkit.Cluster, name string, phase corev1.PodPhase) {
	t.Helper()
	editStatus(t, c, "default", name, func(pod *corev1.Pod) { pod.Status.Phase, pod.Status.Conditions = phase, nil })
}

// running waits for so many of a job's pods that run, and gives their names.
func running(t *testing.T, c *testkit.Cluster, job string, n int) (names []string) {
	t.Helper()
	await.Until(t, soon, "the job's pods run", func() bool {
		names = nil
		for _, pod := range list[*corev1.Pod](t, c, "default", map[string]string{"job-name": job}) {
			if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
				names = append(names, pod.Name)
			}
		}
		return len(names) == n
	})
	return names
}

func jobCondition(j *batchv1.Job, typ batchv1.JobConditionType) string {
	for _, c := range j.Status.Conditions {
		if c.Type == typ {
			return string(c.Status) + " " + c.Reason
		}
	}
	return ""
}

func TestJobLife(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, CheckMutation: true})
	two, now := int32(2), int32(0)
	create(t, c, newJob("work", func(j *batchv1.Job) { j.Spec.Completions, j.Spec.Parallelism = &two, &two }))
	names := running(t, c, "work", 2)
	var j *batchv1.Job
	await.Until(t, soon, "the job has its start", func() bool {
		j, _ = get[*batchv1.Job](t, c, "default", "work")
		return j.Status.StartTime != nil
	})
	for _, name := range names {
		pod, _ := get[*corev1.Pod](t, c, "default", name)
		if len(pod.Finalizers) != 1 || pod.Finalizers[0] != "batch.kubernetes.io/job-tracking" {
			t.Errorf("finalizers of %s: %v", name, pod.Finalizers)
		}
		endPod(t, c, name, corev1.PodSucceeded)
	}
	await.Until(t, soon, "the job is complete", func() bool {
		j, _ = get[*batchv1.Job](t, c, "default", "work")
		return jobCondition(j, batchv1.JobComplete) == "True CompletionsReached"
	})
	if s := j.Status; s.Succeeded != 2 || s.Failed != 0 || s.Active != 0 || s.CompletionTime == nil || jobCondition(j, batchv1.JobSuccessCriteriaMet) == "" {
		t.Errorf("status: %+v", s)
	}
	for _, name := range names {
		if pod, ok := get[*corev1.Pod](t, c, "default", name); !ok || len(pod.Finalizers) > 0 {
			t.Errorf("%s is there: %t, finalizers %v", name, ok, pod.Finalizers)
		}
	}
	await.Until(t, soon, "an event tells of it", func() bool {
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			if e.Reason == "Completed" && e.Message == "Job completed" && e.InvolvedObject.Name == "work" {
				return true
			}
		}
		return false
	})
	edit(t, c, "default", "work", func(j *batchv1.Job) { j.Spec.TTLSecondsAfterFinished = &now })
	gone[*batchv1.Job](t, c, "default", "work")
	for _, name := range names {
		gone[*corev1.Pod](t, c, "default", name)
	}
}

func TestJobFails(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	none := int32(0)
	create(t, c, newJob("work", func(j *batchv1.Job) { j.Spec.BackoffLimit = &none }))
	endPod(t, c, running(t, c, "work", 1)[0], corev1.PodFailed)
	await.Until(t, soon, "the job has failed", func() bool {
		j, _ := get[*batchv1.Job](t, c, "default", "work")
		return jobCondition(j, batchv1.JobFailed) == "True BackoffLimitExceeded" && j.Status.Failed == 1
	})
}

// TestJobGoes: pods of a job that is deleted are not held by their finalizer,
// whichever way it is deleted.
func TestJobGoes(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		name := "work"
		create(t, c, newJob(name))
		pod := running(t, c, name, 1)[0]
		remove[*batchv1.Job](t, c, "default", name, policy)
		gone[*batchv1.Job](t, c, "default", name)
		if policy != metav1.DeletePropagationOrphan {
			gone[*corev1.Pod](t, c, "default", pod)
			continue
		}
		await.Until(t, soon, "the pod that stays is let go", func() bool {
			p, ok := get[*corev1.Pod](t, c, "default", pod)
			return ok && len(p.Finalizers) == 0 && len(p.OwnerReferences) == 0
		})
	}
}

func TestSuspendedJob(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	yes := true
	create(t, c, newJob("work", func(j *batchv1.Job) { j.Spec.Suspend = &yes }))
	await.Until(t, soon, "the job is held", func() bool {
		j, _ := get[*batchv1.Job](t, c, "default", "work")
		return jobCondition(j, batchv1.JobSuspended) == "True JobSuspended"
	})
	edit(t, c, "default", "work", func(j *batchv1.Job) { *j.Spec.Suspend = false })
	pod := running(t, c, "work", 1)[0]
	edit(t, c, "default", "work", func(j *batchv1.Job) { *j.Spec.Suspend = true })
	gone[*corev1.Pod](t, c, "default", pod)
	await.Until(t, soon, "the job is held again, and counts no failure", func() bool {
		j, _ := get[*batchv1.Job](t, c, "default", "work")
		return jobCondition(j, batchv1.JobSuspended) == "True JobSuspended" && j.Status.Active == 0 && j.Status.Failed == 0 && j.Status.StartTime == nil
	})
	// Somebody else's controller may have left its start there.
	start := metav1.Unix(1_000_000, 0)
	editStatus(t, c, "default", "work", func(j *batchv1.Job) { j.Status.StartTime = &start })
	edit(t, c, "default", "work", func(j *batchv1.Job) { *j.Spec.Suspend = false })
	running(t, c, "work", 1)
	await.Until(t, soon, "the job runs again, from now on", func() bool {
		j, _ := get[*batchv1.Job](t, c, "default", "work")
		return jobCondition(j, batchv1.JobSuspended) == "False JobResumed" && j.Status.Active == 1 && j.Status.StartTime.After(start.Time)
	})
}

// TestJobEndsThoughNoNodeTookItsPod: a pod that is deleted before it had a node
// has nobody who tells its end, and a Job that counts ended pods alone waits
// for that.
func TestJobEndsThoughNoNodeTookItsPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{CheckMutation: true})
		ended, limit := batchv1.Failed, int64(5)
		create(t, c, newJob("work", func(j *batchv1.Job) {
			j.Spec.PodReplacementPolicy, j.Spec.ActiveDeadlineSeconds = &ended, &limit
		}))
		await.Until(t, soon, "the job has failed, and its pod is gone", func() bool {
			j, _ := get[*batchv1.Job](t, c, "default", "work")
			return jobCondition(j, batchv1.JobFailed) == "True DeadlineExceeded" && j.Status.Failed == 1 &&
				len(list[*corev1.Pod](t, c, "default", map[string]string{"job-name": "work"})) == 0
		})
	})
}

// TestJobStopsPodsThatAreReady: the job that has what its policy wants ends
// well, though its last pods, which are stopped then, were ready, and though it
// may count none that fails.
func TestJobStopsPodsThatAreReady(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	three, one, none, mode := int32(3), int32(1), int32(0), batchv1.IndexedCompletion
	create(t, c, newJob("work", func(j *batchv1.Job) {
		j.Spec.Completions, j.Spec.Parallelism, j.Spec.BackoffLimit, j.Spec.CompletionMode = &three, &three, &none, &mode
		j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededCount: &one}}}
	}))
	names := running(t, c, "work", 3)
	await.Until(t, soon, "all pods are ready", func() bool {
		j, _ := get[*batchv1.Job](t, c, "default", "work")
		return j.Status.Ready != nil && *j.Status.Ready == 3
	})
	endPod(t, c, names[0], corev1.PodSucceeded)
	var j *batchv1.Job
	await.Until(t, soon, "the job is over", func() bool {
		j, _ = get[*batchv1.Job](t, c, "default", "work")
		return jobCondition(j, batchv1.JobComplete)+jobCondition(j, batchv1.JobFailed) != ""
	})
	if jobCondition(j, batchv1.JobComplete) != "True SuccessPolicy" || j.Status.Succeeded != 1 {
		t.Errorf("status: %+v", j.Status)
	}
}

// More pods than were asked for may succeed, as when somebody gives a Job a
// pod of their own.
func TestJobTellsThatTooManyPodsSucceeded(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	create(t, c, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}})
	j := create(t, c, newJob("work"))
	for _, name := range []string{"one", "two"} {
		pod := podOf(name)
		pod.Labels, pod.Finalizers = j.Spec.Selector.MatchLabels, []string{batchv1.JobTrackingFinalizer}
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(j, batchv1.SchemeGroupVersion.WithKind("Job"))}
		create(t, c, pod)
		endPod(t, c, name, corev1.PodSucceeded)
	}
	c.Controllers(t, func(under apirequest.Transport) apirequest.Transport { return under })
	await.Until(t, soon, "an event tells of it", func() bool {
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			if e.Reason == "TooManySucceededPods" && e.Type == corev1.EventTypeWarning && e.InvolvedObject.Name == "work" {
				return true
			}
		}
		return false
	})
}
