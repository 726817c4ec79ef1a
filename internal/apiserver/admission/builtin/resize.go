package builtin

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// claimResize lets claims grow only whose class says that they may.
func claimResize(l lookup) admission.Plugin {
	return admission.Plugin{Name: "PersistentVolumeClaimResize", Validate: func(_ context.Context, a *admission.Attributes) error {
		claim, isClaim := a.Object.(*corev1.PersistentVolumeClaim)
		old, wasClaim := a.Old.(*corev1.PersistentVolumeClaim)
		if !isClaim || !wasClaim || a.Operation != admission.Update || a.Subresource != "" {
			return nil
		}
		want, have := claim.Spec.Resources.Requests[corev1.ResourceStorage], old.Spec.Resources.Requests[corev1.ResourceStorage]
		if want.Cmp(have) <= 0 {
			return nil
		}
		if old.Status.Phase != corev1.ClaimBound {
			return admission.Forbidden(a, errors.New("only bound persistent volume claims can be expanded"))
		}
		if !growable(l, old) {
			return admission.Forbidden(a, errors.New("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"))
		}
		return nil
	}}
}

func growable(l lookup, claim *corev1.PersistentVolumeClaim) bool {
	name := claim.Annotations[corev1.BetaStorageClassAnnotation]
	if name == "" && claim.Spec.StorageClassName != nil {
		name = *claim.Spec.StorageClassName
	}
	class, found := get[*storagev1.StorageClass](l, "storage.k8s.io", "v1", "storageclasses", "", name)
	return found && class.AllowVolumeExpansion != nil && *class.AllowVolumeExpansion
}
