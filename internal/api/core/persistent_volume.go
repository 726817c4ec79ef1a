package core

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func persistentVolumeKind() *api.Kind {
	type volume = corev1.PersistentVolume
	return api.Spec[*volume]{
		Version: version, Name: "PersistentVolume", Resource: "persistentvolumes", Singular: "persistentvolume",
		ShortNames: []string{"pv"},
		New:        func() *volume { return &volume{} },
		NewList:    func() runtime.Object { return &corev1.PersistentVolumeList{} },
		Main: api.RulesOf[*volume]{
			MetaAsNew:      true,
			Default:        defaultPersistentVolume,
			PrepareCreate:  preparePersistentVolume,
			PrepareUpdate:  func(v, old *volume) { v.Status = old.Status },
			Validate:       validatePersistentVolume,
			ValidateUpdate: validatePersistentVolumeUpdate,
			Warn:           func(v, _ *volume, _ bool) []string { return warnPersistentVolume(v) },
		},
		Status: &api.RulesOf[*volume]{
			Default:       defaultPersistentVolume,
			PrepareUpdate: preparePersistentVolumeStatus,
			ValidateUpdate: func(v, _ *volume) field.ErrorList {
				return requiredIf(v.ResourceVersion == "", field.NewPath("resourceVersion"))
			},
		},
		Columns:             persistentVolumeColumns(),
		Row:                 persistentVolumeRow,
		UnconditionalUpdate: true,
	}.Kind()
}

// preparePersistentVolume starts the first phase at the time of creation.
func preparePersistentVolume(v *corev1.PersistentVolume) {
	v.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending}
	if t := v.CreationTimestamp; !t.IsZero() {
		v.Status.LastPhaseTransitionTime = &t
	}
}

// preparePersistentVolumeStatus keeps the time of the last phase change,
// unless the phase changes with a new time.
func preparePersistentVolumeStatus(v, old *corev1.PersistentVolume) {
	v.Spec = old.Spec
	if v.Status.LastPhaseTransitionTime == nil {
		v.Status.LastPhaseTransitionTime = old.Status.LastPhaseTransitionTime
	}
}

func defaultPersistentVolume(v *corev1.PersistentVolume) {
	orSet(&v.Status.Phase, corev1.VolumePending)
	orSet(&v.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	optional.Default(&v.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	DefaultVolumeSource(&v.Spec)
}

// DefaultVolumeSource is for the part of a volume that attachments have, too:
// where it is, and how large.
func DefaultVolumeSource(spec *corev1.PersistentVolumeSpec) {
	roundResources(spec.Capacity)
	s := &spec.PersistentVolumeSource
	if s.HostPath != nil {
		optional.Default(&s.HostPath.Type, corev1.HostPathUnset)
	}
	if s.ISCSI != nil {
		orSet(&s.ISCSI.ISCSIInterface, defaultISCSIInterface)
	}
	if s.RBD != nil {
		orSet(&s.RBD.RBDPool, defaultRBDPool)
		orSet(&s.RBD.RadosUser, defaultRBDUser)
		orSet(&s.RBD.Keyring, defaultRBDKeyring)
	}
	if s.ScaleIO != nil {
		orSet(&s.ScaleIO.StorageMode, defaultScaleIOMode)
		orSet(&s.ScaleIO.FSType, defaultScaleIOFSType)
	}
	defaultAzureDisk(s.AzureDisk)
}

func warnPersistentVolume(v *corev1.PersistentVolume) []string {
	var out []string
	if _, ok := v.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		out = append(out, fmt.Sprintf("metadata.annotations[%s]: deprecated since v1.8; use \"storageClassName\" attribute instead",
			corev1.BetaStorageClassAnnotation))
	}
	if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		out = append(out, "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "+
			"Instead, the recommended approach is to use dynamic provisioning.")
	}
	s := &v.Spec.PersistentVolumeSource
	as := corev1.VolumeSource{
		PhotonPersistentDisk: s.PhotonPersistentDisk, Flocker: s.Flocker, Quobyte: s.Quobyte,
	}
	for _, d := range deprecatedVolumes(&as) {
		out = append(out, fmt.Sprintf("spec.%s: deprecated in %s", d.name, d.since))
	}
	return append(out, affinityWarnings(v.Spec.NodeAffinity)...)
}

// affinityWarnings warns of labels that were renamed.
func affinityWarnings(a *corev1.VolumeNodeAffinity) []string {
	if a == nil || a.Required == nil {
		return nil
	}
	var out []string
	terms := field.NewPath("spec", "nodeAffinity", "required", "nodeSelectorTerms")
	for i, t := range a.Required.NodeSelectorTerms {
		for j, e := range t.MatchExpressions {
			if why, ok := validate.DeprecatedNodeLabel(e.Key); ok {
				at := terms.Index(i).Child("matchExpressions").Index(j).Child("key")
				out = append(out, fmt.Sprintf("%s: %s is %s", at, e.Key, why))
			}
		}
	}
	return out
}

func persistentVolumeColumns() []api.Column {
	spec, status := corev1.PersistentVolumeSpec{}, corev1.PersistentVolumeStatus{}
	return []api.Column{
		column.Name(),
		column.Text("Capacity", column.Doc(spec, "capacity")),
		column.Text("Access Modes", column.Doc(spec, "accessModes")),
		column.Text("Reclaim Policy", column.Doc(spec, "persistentVolumeReclaimPolicy")),
		column.Text("Status", column.Doc(status, "phase")),
		column.Text("Claim", column.Doc(spec, "claimRef")),
		column.Text("StorageClass", "StorageClass of the pv"),
		column.Text("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
		column.Text("Reason", column.Doc(status, "reason")),
		column.Age(),
		column.Wide(column.Text("VolumeMode", column.Doc(spec, "volumeMode"))),
	}
}

func persistentVolumeRow(v *corev1.PersistentVolume, now time.Time) []any {
	claim := ""
	if r := v.Spec.ClaimRef; r != nil {
		claim = r.Namespace + "/" + r.Name
	}
	size := v.Spec.Capacity[corev1.ResourceStorage]
	phase := string(v.Status.Phase)
	if v.DeletionTimestamp != nil {
		phase = "Terminating"
	}
	return []any{
		v.Name, size.String(), modesText(v.Spec.AccessModes), string(v.Spec.PersistentVolumeReclaimPolicy), phase, claim,
		storageClass(v.Annotations, &v.Spec.StorageClassName), orUnset(v.Spec.VolumeAttributesClassName),
		v.Status.Reason, column.Since(v.CreationTimestamp, now), modeText(v.Spec.VolumeMode),
	}
}
