package core

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

func persistentVolumeClaimKind() *api.Kind {
	type claim = corev1.PersistentVolumeClaim
	return api.Spec[*claim]{
		Version: version, Name: "PersistentVolumeClaim", Resource: "persistentvolumeclaims", Singular: "persistentvolumeclaim",
		ShortNames: []string{"pvc"},
		Namespaced: true,
		New:        func() *claim { return &claim{} },
		NewList:    func() runtime.Object { return &corev1.PersistentVolumeClaimList{} },
		Main: api.RulesOf[*claim]{
			MetaAgain: true,
			Default:   defaultPersistentVolumeClaim,
			PrepareCreate: func(c *claim) {
				c.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
				dropDataSource(&c.Spec, &corev1.PersistentVolumeClaimSpec{})
				normalizeDataSources(&c.Spec)
			},
			PrepareUpdate: func(c, old *claim) {
				c.Status = old.Status
				dropDataSource(&c.Spec, &old.Spec)
				normalizeDataSources(&c.Spec)
			},
			Validate:       validatePersistentVolumeClaim,
			ValidateUpdate: validatePersistentVolumeClaimUpdate,
			Warn:           func(c, _ *claim, _ bool) []string { return warnPersistentVolumeClaim(c) },
		},
		Status: &api.RulesOf[*claim]{
			Default:        defaultPersistentVolumeClaim,
			PrepareUpdate:  func(c, old *claim) { c.Spec = old.Spec },
			ValidateUpdate: validatePersistentVolumeClaimStatus,
		},
		Columns:             persistentVolumeClaimColumns(),
		Row:                 persistentVolumeClaimRow,
		UnconditionalUpdate: true,
	}.Kind()
}

// dropDataSource removes a reference into another namespace, a feature that
// is off, and a source of a kind that the old field does not know (KEP-1495),
// unless the claim had one before.
func dropDataSource(s, old *corev1.PersistentVolumeClaimSpec) {
	if s.DataSourceRef != nil && orEmpty(s.DataSourceRef.Namespace) != "" && old.DataSourceRef == nil {
		s.DataSourceRef = nil
	}
	d := s.DataSource
	if d == nil || s.DataSourceRef != nil || old.DataSource != nil || old.DataSourceRef != nil {
		return
	}
	group := orEmpty(d.APIGroup)
	claim := group == "" && d.Kind == "PersistentVolumeClaim"
	snapshot := group == "snapshot.storage.k8s.io" && d.Kind == "VolumeSnapshot"
	if !claim && !snapshot {
		s.DataSource = nil
	}
}

// normalizeDataSources keeps dataSource and dataSourceRef the same where only
// one is given, and no other namespace is meant.
func normalizeDataSources(s *corev1.PersistentVolumeClaimSpec) {
	switch {
	case s.DataSource != nil && s.DataSourceRef == nil:
		s.DataSourceRef = &corev1.TypedObjectReference{Kind: s.DataSource.Kind, Name: s.DataSource.Name, APIGroup: s.DataSource.APIGroup}
	case s.DataSourceRef != nil && s.DataSource == nil && orEmpty(s.DataSourceRef.Namespace) == "":
		s.DataSource = &corev1.TypedLocalObjectReference{
			Kind: s.DataSourceRef.Kind, Name: s.DataSourceRef.Name, APIGroup: s.DataSourceRef.APIGroup,
		}
	}
}

func persistentVolumeClaimColumns() []api.Column {
	spec, status := corev1.PersistentVolumeClaimSpec{}, corev1.PersistentVolumeClaimStatus{}
	return []api.Column{
		column.Name(),
		column.Text("Status", column.Doc(status, "phase")),
		column.Text("Volume", column.Doc(spec, "volumeName")),
		column.Text("Capacity", column.Doc(status, "capacity")),
		column.Text("Access Modes", column.Doc(status, "accessModes")),
		column.Text("StorageClass", "StorageClass of the pvc"),
		column.Text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
		column.Age(),
		column.Wide(column.Text("VolumeMode", column.Doc(spec, "volumeMode"))),
	}
}

func persistentVolumeClaimRow(c *corev1.PersistentVolumeClaim, now time.Time) []any {
	phase := string(c.Status.Phase)
	if c.DeletionTimestamp != nil {
		phase = "Terminating"
	}
	capacity, modes := "", ""
	if c.Spec.VolumeName != "" {
		modes = modesText(c.Status.AccessModes)
		size := c.Status.Capacity[corev1.ResourceStorage]
		capacity = size.String()
	}
	return []any{
		c.Name, phase, c.Spec.VolumeName, capacity, modes, storageClass(c.Annotations, c.Spec.StorageClassName),
		orUnset(c.Spec.VolumeAttributesClassName), column.Since(c.CreationTimestamp, now), modeText(c.Spec.VolumeMode),
	}
}

func modeText(m *corev1.PersistentVolumeMode) string {
	if m == nil {
		return "<unset>"
	}
	return string(*m)
}

func orUnset(s *string) string {
	if s == nil {
		return "<unset>"
	}
	return *s
}

// storageClass is the class of a claim or volume: the old annotation, which
// still wins, or the field.
func storageClass(annotations map[string]string, field *string) string {
	if class, ok := annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	return orEmpty(field)
}

// modesText shortens access modes, each once, in a fixed order.
func modesText(modes []corev1.PersistentVolumeAccessMode) string {
	var out []string
	for _, m := range []struct {
		mode  corev1.PersistentVolumeAccessMode
		short string
	}{{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"}} {
		if slices.Contains(modes, m.mode) {
			out = append(out, m.short)
		}
	}
	return strings.Join(out, ",")
}
