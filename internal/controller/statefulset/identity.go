package statefulset

import (
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
)

const revisionLabel = appsv1.StatefulSetRevisionLabel

func gvk() schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind("StatefulSet") }

func replicas(set *appsv1.StatefulSet) int {
	if set.Spec.Replicas == nil {
		return 1
	}
	return int(*set.Spec.Replicas)
}

// start is the lowest ordinal.
func start(set *appsv1.StatefulSet) int {
	if set.Spec.Ordinals == nil {
		return 0
	}
	return int(set.Spec.Ordinals.Start)
}

// inRange tells whether the set wants a pod of the ordinal.
func inRange(set *appsv1.StatefulSet, ordinal int) bool {
	return ordinal >= start(set) && ordinal < start(set)+replicas(set)
}

func podName(set *appsv1.StatefulSet, ordinal int) string {
	return set.Name + "-" + strconv.Itoa(ordinal)
}

// split takes a pod's name apart; ok is false for one that no set gives.
func split(name string) (set string, ordinal int, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != name[i+1:] {
		return "", 0, false
	}
	return name[:i], int(n), true
}

// ordinalOf is the pod's place in the set; false for a pod of another name.
func ordinalOf(set *appsv1.StatefulSet, pod *corev1.Pod) (int, bool) {
	parent, ordinal, ok := split(pod.Name)
	return ordinal, ok && parent == set.Name
}

func claimName(set *appsv1.StatefulSet, template *corev1.PersistentVolumeClaim, ordinal int) string {
	return template.Name + "-" + podName(set, ordinal)
}

// newPod is the pod of an ordinal, of a revision's template.
func newPod(set *appsv1.StatefulSet, r revision, ordinal int) *corev1.Pod {
	pod := podwrite.New(set, gvk(), r.template)
	pod.GenerateName, pod.Name = "", podName(set, ordinal)
	identify(pod, ordinal)
	pod.Labels[revisionLabel] = r.name
	pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, set.Spec.ServiceName
	mount(set, pod, ordinal)
	return pod
}

// identify sets the labels by which a single pod of a set can be selected.
func identify(pod *corev1.Pod, ordinal int) {
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	pod.Labels[appsv1.PodIndexLabel] = strconv.Itoa(ordinal)
}

// mount gives the pod a volume per claim template, in place of one of the
// same name.
func mount(set *appsv1.StatefulSet, pod *corev1.Pod, ordinal int) {
	var volumes []corev1.Volume
	ours := map[string]bool{}
	for i := range set.Spec.VolumeClaimTemplates {
		t := &set.Spec.VolumeClaimTemplates[i]
		ours[t.Name] = true
		volumes = append(volumes, corev1.Volume{Name: t.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(set, t, ordinal)},
		}})
	}
	for _, v := range pod.Spec.Volumes {
		if !ours[v.Name] {
			volumes = append(volumes, v)
		}
	}
	pod.Spec.Volumes = volumes
}

// newClaims are the claims of an ordinal, as their templates say.
func newClaims(set *appsv1.StatefulSet, ordinal int) []*corev1.PersistentVolumeClaim {
	var out []*corev1.PersistentVolumeClaim
	for i := range set.Spec.VolumeClaimTemplates {
		t := &set.Spec.VolumeClaimTemplates[i]
		claim := t.DeepCopy()
		claim.ObjectMeta = metav1.ObjectMeta{
			Namespace: set.Namespace, Name: claimName(set, t, ordinal),
			Labels: maps.Clone(t.Labels), Annotations: maps.Clone(t.Annotations), Finalizers: t.Finalizers,
		}
		if claim.Labels == nil {
			claim.Labels = map[string]string{}
		}
		if set.Spec.Selector != nil {
			maps.Copy(claim.Labels, set.Spec.Selector.MatchLabels)
		}
		claim.Status = corev1.PersistentVolumeClaimStatus{}
		claim.OwnerReferences, _ = claimOwners(set, nil, ordinal, nil)
		out = append(out, claim)
	}
	return out
}
