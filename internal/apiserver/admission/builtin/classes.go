package builtin

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

const (
	defaultStorageClassAnnotation     = "storageclass.kubernetes.io/is-default-class"
	betaDefaultStorageClassAnnotation = "storageclass.beta.kubernetes.io/is-default-class"
	ingressClassAnnotation            = "kubernetes.io/ingress.class"
)

// defaultIngressClass names the default class in ingresses without one.
func defaultIngressClass(l lookup) admission.Plugin {
	return admission.Plugin{Name: "DefaultIngressClass", Mutate: func(_ context.Context, a *admission.Attributes) error {
		ingress, isIngress := a.Object.(*networkingv1.Ingress)
		if !isIngress || a.Operation != admission.Create || a.Subresource != "" || ingress.Spec.IngressClassName != nil {
			return nil
		}
		if _, old := ingress.Annotations[ingressClassAnnotation]; old {
			return nil
		}
		class, found := newest(all[*networkingv1.IngressClass](l, "networking.k8s.io", "v1", "ingressclasses", ""), networkingv1.AnnotationIsDefaultIngressClass)
		if found {
			name := class.GetName()
			ingress.Spec.IngressClassName = &name
		}
		return nil
	}}
}

// defaultStorageClass names the default class in claims without one.
func defaultStorageClass(l lookup) admission.Plugin {
	return admission.Plugin{Name: "DefaultStorageClass", Mutate: func(_ context.Context, a *admission.Attributes) error {
		claim, isClaim := a.Object.(*corev1.PersistentVolumeClaim)
		if !isClaim || a.Operation != admission.Create || a.Subresource != "" || claim.Spec.StorageClassName != nil {
			return nil
		}
		if _, old := claim.Annotations[corev1.BetaStorageClassAnnotation]; old {
			return nil
		}
		class, found := newest(all[*storagev1.StorageClass](l, "storage.k8s.io", "v1", "storageclasses", ""),
			defaultStorageClassAnnotation, betaDefaultStorageClassAnnotation)
		if found {
			name := class.GetName()
			claim.Spec.StorageClassName = &name
		}
		return nil
	}}
}

// protectVolumes keeps volumes, claims and attribute classes that are in use from going: the
// finalizers stay until a controller finds them unused.
func protectVolumes() admission.Plugin {
	return admission.Plugin{Name: "StorageObjectInUseProtection", Mutate: func(_ context.Context, a *admission.Attributes) error {
		if a.Operation != admission.Create || a.Subresource != "" {
			return nil
		}
		switch obj := a.Object.(type) {
		case *corev1.PersistentVolumeClaim:
			addFinalizer(obj, "kubernetes.io/pvc-protection")
		case *corev1.PersistentVolume:
			addFinalizer(obj, "kubernetes.io/pv-protection")
		case *storagev1.VolumeAttributesClass:
			addFinalizer(obj, "kubernetes.io/vac-protection")
		}
		return nil
	}}
}

func addFinalizer(obj api.Object, name string) {
	if have := obj.GetFinalizers(); !slices.Contains(have, name) {
		obj.SetFinalizers(append(slices.Clip(have), name))
	}
}

// newest is the youngest object of those that one of the annotations marks as
// default; of two of one age the first by name.
func newest[T api.Object](objects []T, annotations ...string) (T, bool) {
	var out T
	found := false
	for _, obj := range objects {
		if !marked(obj, annotations) {
			continue
		}
		at := obj.GetCreationTimestamp()
		if best := func() bool { was := out.GetCreationTimestamp(); return was.Before(&at) }; !found || best() {
			out, found = obj, true
		}
	}
	return out, found
}

func marked(obj api.Object, annotations []string) bool {
	for _, name := range annotations {
		if obj.GetAnnotations()[name] == "true" {
			return true
		}
	}
	return false
}
