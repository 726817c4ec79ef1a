package builtin

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// written is what a chain makes of a write, in the group that the object is of.
// It fails unless the chain refuses the write with the text; empty: lets it pass.
func written(t *testing.T, objects []api.Object, op admission.Operation, obj, old api.Object, refusal string) {
	t.Helper()
	chain, kinds := world(t, objects...)
	of := obj
	if of == nil {
		of = old
	}
	a := &admission.Attributes{Operation: op, Kind: kinds.TypeOf(of), Name: of.GetName(), Namespace: of.GetNamespace(), User: anyone, Warn: func(string) {}}
	if obj != nil {
		a.Object = obj
	}
	if old != nil {
		a.Old = old
	}
	err := chain.Mutate(context.Background(), a)
	if err == nil {
		err = chain.Validate(context.Background(), a)
	}
	if refusal == "" && err != nil || refusal != "" && (err == nil || !strings.Contains(err.Error(), refusal)) {
		t.Errorf("%v, want %q", err, refusal)
	}
}

// meta marks an object of a class as default by the annotation, unless that is
// empty; age orders such objects.
func meta(name, annotation string, age int) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Time{Time: time.Unix(int64(1e9-age), 0)}}
	if annotation != "" {
		out.Annotations = map[string]string{annotation: "true"}
	}
	return out
}

func TestClaimsGetTheNewestDefaultClass(t *testing.T) {
	empty, named := "", "named"
	classes := []api.Object{
		&storagev1.StorageClass{ObjectMeta: meta("old", defaultStorageClassAnnotation, 9)},
		&storagev1.StorageClass{ObjectMeta: meta("new", betaDefaultStorageClassAnnotation, 1)},
		&storagev1.StorageClass{ObjectMeta: meta("newest", "", 0)},
	}
	for _, tt := range []struct {
		classes []api.Object
		legacy  string
		has     *string
		want    string
	}{
		{classes, "", nil, "new"},
		{classes, "", &empty, ""},
		{classes, "", &named, "named"},
		{classes, "legacy", nil, "none"},
		{classes[2:], "", nil, "none"},
	} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "n"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: tt.has}}
		if tt.legacy != "" {
			claim.Annotations = map[string]string{corev1.BetaStorageClassAnnotation: tt.legacy}
		}
		written(t, tt.classes, admission.Create, claim, nil, "")
		got := "none"
		if claim.Spec.StorageClassName != nil {
			got = *claim.Spec.StorageClassName
		}
		if got != tt.want {
			t.Errorf("class %q, want %q", got, tt.want)
		}
	}
}

// What is used is protected once, and only what may be used.
func TestVolumesAreProtected(t *testing.T) {
	chain := admission.Chain{protectVolumes()}
	for want, obj := range map[string]api.Object{
		"[kubernetes.io/pvc-protection]": &corev1.PersistentVolumeClaim{},
		"[kubernetes.io/pv-protection]":  &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Finalizers: []string{"kubernetes.io/pv-protection"}}},
		"[kubernetes.io/vac-protection]": &storagev1.VolumeAttributesClass{},
		"[]":                             &storagev1.StorageClass{},
	} {
		a := &admission.Attributes{Operation: admission.Create, Object: obj}
		if err := chain.Mutate(t.Context(), a); err != nil || fmt.Sprint(obj.GetFinalizers()) != want {
			t.Errorf("%T has %v, want %s; %v", obj, obj.GetFinalizers(), want, err)
		}
	}
}

func TestIngressesGetTheDefaultClass(t *testing.T) {
	classes := []api.Object{&networkingv1.IngressClass{ObjectMeta: meta("default", networkingv1.AnnotationIsDefaultIngressClass, 0)}}
	plain := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "i", Namespace: "n"}}
	written(t, classes, admission.Create, plain, nil, "")
	if plain.Spec.IngressClassName == nil || *plain.Spec.IngressClassName != "default" {
		t.Errorf("class %v", plain.Spec.IngressClassName)
	}
	legacy := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "i", Namespace: "n", Annotations: map[string]string{ingressClassAnnotation: "x"}}}
	written(t, classes, admission.Create, legacy, nil, "")
	if legacy.Spec.IngressClassName != nil {
		t.Errorf("class %s beside the annotation", *legacy.Spec.IngressClassName)
	}
}

func TestPrioritiesAreThoseOfTheClass(t *testing.T) {
	never := corev1.PreemptNever
	classes := []api.Object{
		&schedulingv1.PriorityClass{ObjectMeta: meta("usual", "", 0), Value: 7, GlobalDefault: true},
		&schedulingv1.PriorityClass{ObjectMeta: meta("high", "", 0), Value: 100, PreemptionPolicy: &never},
	}
	with := func(class string, value int32) *corev1.Pod {
		p := pod()
		p.Spec.PriorityClassName = class
		if value != 0 {
			p.Spec.Priority = &value
		}
		return p
	}
	for _, tt := range []struct {
		pod     *corev1.Pod
		want    string
		refusal string
	}{
		{with("", 0), "usual 7 PreemptLowerPriority", ""},
		{with("high", 0), "high 100 Never", ""},
		{with("high", 100), "high 100 Never", ""},
		{with("high", 5), "", "the integer value of priority (5) must not be provided in pod spec"},
	} {
		written(t, classes, admission.Create, tt.pod, nil, tt.refusal)
		if spec := tt.pod.Spec; tt.refusal == "" {
			if got := fmt.Sprint(spec.PriorityClassName, " ", *spec.Priority, " ", *spec.PreemptionPolicy); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		}
	}
	second := &schedulingv1.PriorityClass{ObjectMeta: meta("second", "", 0), GlobalDefault: true}
	written(t, classes, admission.Create, second, nil, "PriorityClass usual is already marked as default")
	system := &schedulingv1.PriorityClass{ObjectMeta: meta("system-node-critical", "", 0)}
	written(t, classes, admission.Delete, nil, system, "this is a system priority class and cannot be deleted")
}

func TestPodsTakeWhatTheirRuntimeClassSays(t *testing.T) {
	name, cpu := "kata", corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}
	classes := []api.Object{&nodev1.RuntimeClass{ObjectMeta: meta(name, "", 0), Handler: "kata", Overhead: &nodev1.Overhead{PodFixed: cpu},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"vm": "yes"}, Tolerations: []corev1.Toleration{{Key: "vm", Operator: corev1.TolerationOpExists}}}}}
	of := func(change func(*corev1.PodSpec)) *corev1.Pod {
		p := pod()
		p.Spec.RuntimeClassName = &name
		change(&p.Spec)
		return p
	}
	p := of(func(*corev1.PodSpec) {})
	written(t, classes, admission.Create, p, nil, "")
	last := p.Spec.Tolerations[len(p.Spec.Tolerations)-1] // behind the default ones
	if p.Spec.Overhead.Cpu().String() != "250m" || p.Spec.NodeSelector["vm"] != "yes" || last.Key != "vm" {
		t.Errorf("the pod has %v", p.Spec)
	}
	none := "none"
	for want, p := range map[string]*corev1.Pod{
		`RuntimeClass "none" not found`:                                   of(func(s *corev1.PodSpec) { s.RuntimeClassName = &none }),
		"Pod's Overhead doesn't match":                                    of(func(s *corev1.PodSpec) { s.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")} }),
		"Pod Overhead set without corresponding":                          of(func(s *corev1.PodSpec) { s.RuntimeClassName, s.Overhead = nil, cpu }),
		"conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.s": of(func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"vm": "no"} }),
	} {
		written(t, classes, admission.Create, p, nil, want)
	}
}

func TestClaimsGrowAsTheirClassAllows(t *testing.T) {
	yes, class := true, "grows"
	growing := []api.Object{&storagev1.StorageClass{ObjectMeta: meta(class, "", 0), AllowVolumeExpansion: &yes}}
	fixed := []api.Object{&storagev1.StorageClass{ObjectMeta: meta(class, "", 0)}}
	claim := func(size string, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "n"}, Status: corev1.PersistentVolumeClaimStatus{Phase: phase}}
		c.Spec.StorageClassName = &class
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
		return c
	}
	written(t, growing, admission.Update, claim("2Gi", corev1.ClaimBound), claim("1Gi", corev1.ClaimBound), "")
	written(t, fixed, admission.Update, claim("1Gi", corev1.ClaimBound), claim("1Gi", corev1.ClaimBound), "")
	written(t, fixed, admission.Update, claim("2Gi", corev1.ClaimBound), claim("1Gi", corev1.ClaimBound), "the storageclass that provisions the pvc must support resize")
	written(t, growing, admission.Update, claim("2Gi", corev1.ClaimPending), claim("1Gi", corev1.ClaimPending), "only bound persistent volume claims can be expanded")
}
