package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/controller/internal/batch"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// byJob is an index of tracked pods by the name of their job.
const byJob = "job"

func jobsOf(pod *corev1.Pod) []string {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil || ref.Kind != "Job" || !tracked(pod) {
		return nil
	}
	return []string{pod.Namespace + "/" + ref.Name}
}

// applyPods creates and deletes. Pods that are too many lose their finalizer
// first, so that they are not counted as failed.
func (r *Controller) applyPods(ctx context.Context, j *batchv1.Job, p plan) error {
	_, err := batch.SlowStart(len(p.create), func(i int) error { return r.write.Create(ctx, j, newPod(j, p.create[i])) })
	if podwrite.Pointless(err) {
		err = nil // nothing can be created any more, and nothing need be
	}
	if _, ferr := r.free(ctx, own.KeyOf(j), p.drop); ferr != nil {
		return errors.Join(err, ferr)
	}
	gone := append(append([]*corev1.Pod(nil), p.drop...), p.stop...)
	return errors.Join(err, batch.All(len(gone), func(i int) error { return r.write.Delete(ctx, j, gone[i]) }))
}

// free takes finalizers off, and gives the pods that have none any more.
func (r *Controller) free(ctx context.Context, key reconcile.Key, list []*corev1.Pod) (freed map[types.UID]bool, err error) {
	done := make([]bool, len(list))
	err = batch.All(len(list), func(i int) error {
		if !tracked(list[i]) {
			return nil
		}
		out, err := r.strip(ctx, list[i])
		switch {
		case err != nil:
		case out == nil || removed(out): // a view that still has it must not make it count again
			r.expects.Gone(key, list[i])
		default:
			r.expects.Created(key, out)
		}
		done[i] = err == nil
		return err
	})
	freed = make(map[types.UID]bool, len(list))
	for i, ok := range done {
		if ok {
			freed[list[i].UID] = true
		}
	}
	return freed, err
}

// strip takes a pod's finalizer off; a pod that is gone has none, and the
// result is nil.
func (r *Controller) strip(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "$deleteFromPrimitiveList/finalizers": []string{finalizer},
	}})
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	out, err := r.write.Pods.Patch(ctx, pod.Namespace, pod.Name, types.StrategicMergePatchType, patch)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the finalizer of pod %s: %w", pod.Name, err)
	}
	return out, nil
}

// removed tells of a pod as a write has left it whether it went with its last
// finalizer. The answer then has the revision from before the write.
func removed(pod *corev1.Pod) bool {
	grace := pod.DeletionGracePeriodSeconds
	return pod.DeletionTimestamp != nil && len(pod.Finalizers) == 0 && (grace == nil || *grace == 0)
}

func without(list []*corev1.Pod, freed map[types.UID]bool) []*corev1.Pod {
	var out []*corev1.Pod
	for _, pod := range list {
		if !freed[pod.UID] {
			out = append(out, pod)
		}
	}
	return out
}

// freeFormer frees pods whose job is gone, or is another one of the same name
// (j is nil where there is none).
func (r *Controller) freeFormer(ctx context.Context, key reconcile.Key, j *batchv1.Job) error {
	var former []*corev1.Pod
	for _, pod := range r.podInf.ByIndex(byJob, key.Namespace+"/"+key.Name) {
		if j == nil || metav1.GetControllerOfNoCopy(pod).UID != j.UID {
			former = append(former, pod)
		}
	}
	return r.freeAll(ctx, former)
}

// freeAll takes finalizers off pods that nobody counts.
func (r *Controller) freeAll(ctx context.Context, list []*corev1.Pod) error {
	return batch.All(len(list), func(i int) error {
		if !tracked(list[i]) {
			return nil
		}
		_, err := r.strip(ctx, list[i])
		return err
	})
}

// lookForStrays finds tracked pods that no job controls, such as those that
// their job's deletion left behind on purpose.
func (r *Controller) lookForStrays(_, pod *corev1.Pod) {
	if pod != nil && tracked(pod) && metav1.GetControllerOfNoCopy(pod) == nil {
		r.strays.Enqueue(own.KeyOf(pod))
	}
}

func (r *Controller) freeStray(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	pod, ok := r.podInf.Get(key.Namespace, key.Name)
	if !ok || !tracked(pod) || metav1.GetControllerOfNoCopy(pod) != nil {
		return reconcile.Result{}, nil
	}
	_, err := r.strip(ctx, pod)
	return reconcile.Result{}, err
}
