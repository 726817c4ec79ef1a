package job

import (
	"fmt"
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
)

const (
	indexVariable = "JOB_COMPLETION_INDEX"
	// longestPrefix leaves room for what the server adds to a generated name.
	longestPrefix = 58
)

func gvk() schema.GroupVersionKind { return batchv1.SchemeGroupVersion.WithKind("Job") }

// newPod is a pod of the job, to be tracked.
func newPod(j *batchv1.Job, s slot) *corev1.Pod {
	pod := podwrite.New(j, gvk(), &j.Spec.Template)
	if !slices.Contains(pod.Finalizers, finalizer) {
		pod.Finalizers = append(pod.Finalizers, finalizer)
	}
	if s.index < 0 {
		return pod
	}
	number := strconv.Itoa(s.index)
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Annotations[batchv1.JobCompletionIndexAnnotation] = number
	pod.Labels[batchv1.JobCompletionIndexAnnotation] = number
	if perIndex(j) {
		pod.Annotations[batchv1.JobIndexFailureCountAnnotation] = strconv.Itoa(s.failures)
		if s.ignored > 0 {
			pod.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation] = strconv.Itoa(s.ignored)
		}
	}
	pod.Spec.Hostname = fmt.Sprintf("%s-%d", j.Name, s.index)
	tail := "-" + number + "-"
	pod.GenerateName = j.Name[:min(len(j.Name), longestPrefix-len(tail))] + tail
	addVariable(pod.Spec.InitContainers)
	addVariable(pod.Spec.Containers)
	return pod
}

// addVariable lets containers know their index.
func addVariable(list []corev1.Container) {
	for i := range list {
		c := &list[i]
		if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == indexVariable }) {
			continue
		}
		c.Env = append(c.Env, corev1.EnvVar{Name: indexVariable, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['" + batchv1.JobCompletionIndexAnnotation + "']"},
		}})
	}
}
