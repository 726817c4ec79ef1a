package storage

import (
	"strings"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// CSIDriver says what a driver can do and needs.
func CSIDriver() *api.Kind {
	return api.Spec[*storagev1.CSIDriver]{
		Group: group, Version: version, Name: "CSIDriver",
		Resource: "csidrivers", Singular: "csidriver",
		New:     func() *storagev1.CSIDriver { return &storagev1.CSIDriver{} },
		NewList: func() runtime.Object { return &storagev1.CSIDriverList{} },
		Main: api.RulesOf[*storagev1.CSIDriver]{
			Default: defaultDriver, Validate: validateDriver, ValidateUpdate: validateDriverUpdate,
			PrepareCreate: func(d *storagev1.CSIDriver) { d.Spec.PreventPodSchedulingIfMissing = nil },
			PrepareUpdate: countDriverChange, Warn: warnDriver,
		},
		Columns: driverColumns(), Row: driverRow,
	}.Kind()
}

func driverColumns() []api.Column {
	spec := storagev1.CSIDriverSpec{}
	yes := func(name, field string) api.Column {
		return api.Column{Name: name, Type: "boolean", Description: column.Doc(spec, field)}
	}
	return []api.Column{
		column.Name(),
		yes("AttachRequired", "attachRequired"),
		yes("PodInfoOnMount", "podInfoOnMount"),
		yes("StorageCapacity", "storageCapacity"),
		column.Text("TokenRequests", column.Doc(spec, "tokenRequests")),
		yes("RequiresRepublish", "requiresRepublish"),
		column.Text("Modes", column.Doc(spec, "volumeLifecycleModes")),
		column.Age(),
	}
}

func driverRow(d *storagev1.CSIDriver, now time.Time) []any {
	attach := d.Spec.AttachRequired == nil || *d.Spec.AttachRequired
	tokens := "<unset>"
	if len(d.Spec.TokenRequests) > 0 {
		var audiences []string
		for _, t := range d.Spec.TokenRequests {
			audiences = append(audiences, t.Audience)
		}
		tokens = strings.Join(audiences, ",")
	}
	modes := column.None
	if len(d.Spec.VolumeLifecycleModes) > 0 {
		var names []string
		for _, m := range d.Spec.VolumeLifecycleModes {
			names = append(names, string(m))
		}
		modes = strings.Join(names, ",")
	}
	return []any{
		d.Name, attach, optional.Value(d.Spec.PodInfoOnMount), optional.Value(d.Spec.StorageCapacity), tokens,
		optional.Value(d.Spec.RequiresRepublish), modes, column.Since(d.CreationTimestamp, now),
	}
}

func defaultDriver(d *storagev1.CSIDriver) {
	s := &d.Spec
	optional.Default(&s.AttachRequired, true)
	optional.Default(&s.PodInfoOnMount, false)
	optional.Default(&s.StorageCapacity, false)
	optional.Default(&s.FSGroupPolicy, storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy)
	if len(s.VolumeLifecycleModes) == 0 {
		s.VolumeLifecycleModes = []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}
	}
	optional.Default(&s.RequiresRepublish, false)
	optional.Default(&s.SELinuxMount, false)
}

// countDriverChange raises the generation with changes of the spec. It
// starts at none, unlike that of other kinds.
func countDriverChange(d, old *storagev1.CSIDriver) {
	if old.Spec.PreventPodSchedulingIfMissing == nil { // an alpha field, off by default
		d.Spec.PreventPodSchedulingIfMissing = nil
	}
	d.Generation = old.Generation
	if !equality.Semantic.DeepEqual(d.Spec, old.Spec) {
		d.Generation++
	}
}

// warnDriver warns of tokens that may be logged, unless that was so before.
func warnDriver(d, old *storagev1.CSIDriver, isUpdate bool) []string {
	if isUpdate && equality.Semantic.DeepEqual(old.Spec.TokenRequests, d.Spec.TokenRequests) {
		return nil
	}
	if len(d.Spec.TokenRequests) == 0 || d.Spec.ServiceAccountTokenInSecrets != nil {
		return nil
	}
	return []string{"spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"}
}

func validateDriver(d *storagev1.CSIDriver) field.ErrorList {
	return validateDriverSpec(&d.Spec)
}

func validateDriverSpec(s *storagev1.CSIDriverSpec) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	for _, required := range []struct {
		name string
		set  bool
	}{
		{"attachedRequired", s.AttachRequired != nil}, {"podInfoOnMount", s.PodInfoOnMount != nil},
		{"storageCapacity", s.StorageCapacity != nil},
	} {
		if !required.set {
			errs = append(errs, field.Required(path.Child(required.name), ""))
		}
	}
	if s.FSGroupPolicy != nil {
		errs = append(errs, validate.OneOf(*s.FSGroupPolicy, path.Child("fsGroupPolicy"),
			storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy, storagev1.FileFSGroupPolicy, storagev1.NoneFSGroupPolicy)...)
	}
	errs = append(errs, validateTokenRequests(s.TokenRequests, path.Child("tokenRequests"))...)
	if in := s.ServiceAccountTokenInSecrets; in != nil && len(s.TokenRequests) == 0 {
		errs = append(errs, field.Invalid(path.Child("serviceAccountTokenInSecrets"), *in,
			"serviceAccountTokenInSecrets is set but no tokenRequests are specified"))
	}
	for _, m := range s.VolumeLifecycleModes {
		errs = append(errs, oneOf(m, path.Child("volumeLifecycleModes"),
			storagev1.VolumeLifecyclePersistent, storagev1.VolumeLifecycleEphemeral)...)
	}
	if s.SELinuxMount == nil {
		errs = append(errs, field.Required(path.Child("seLinuxMount"), ""))
	}
	if n := s.NodeAllocatableUpdatePeriodSeconds; n != nil && *n < 10 {
		errs = append(errs, field.Invalid(path.Child("nodeAllocatableUpdatePeriodSeconds"), *n, "must be greater than or equal to 10 seconds"))
	}
	return errs
}

func validateTokenRequests(requests []storagev1.TokenRequest, path *field.Path) field.ErrorList {
	const least, most = 10 * 60, 1 << 32 // seconds
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, r := range requests {
		at := path.Index(i)
		if seen[r.Audience] {
			errs = append(errs, field.Duplicate(at.Child("audience"), r.Audience))
			continue
		}
		seen[r.Audience] = true
		if r.ExpirationSeconds == nil {
			continue
		}
		if *r.ExpirationSeconds < least {
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *r.ExpirationSeconds, "may not specify a duration less than 10 minutes"))
		}
		if *r.ExpirationSeconds > most {
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *r.ExpirationSeconds, "may not specify a duration larger than 2^32 seconds"))
		}
	}
	return errs
}

func validateDriverUpdate(d, old *storagev1.CSIDriver) field.ErrorList {
	path := field.NewPath("spec")
	errs := validateDriverSpec(&d.Spec)
	errs = append(errs, validate.Immutable(d.Spec.AttachRequired, old.Spec.AttachRequired, path.Child("attachedRequired"))...)
	return append(errs, validate.Immutable(d.Spec.VolumeLifecycleModes, old.Spec.VolumeLifecycleModes, path.Child("volumeLifecycleModes"))...)
}
