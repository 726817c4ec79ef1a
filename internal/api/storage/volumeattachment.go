package storage

import (
	"math"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// VolumeAttachment asks for a volume at a node.
func VolumeAttachment() *api.Kind {
	return api.Spec[*storagev1.VolumeAttachment]{
		Group: group, Version: version, Name: "VolumeAttachment",
		Resource: "volumeattachments", Singular: "volumeattachment",
		New:     func() *storagev1.VolumeAttachment { return &storagev1.VolumeAttachment{} },
		NewList: func() runtime.Object { return &storagev1.VolumeAttachmentList{} },
		Main: api.RulesOf[*storagev1.VolumeAttachment]{
			Default:        defaultAttachment,
			PrepareCreate:  func(a *storagev1.VolumeAttachment) { a.Status = storagev1.VolumeAttachmentStatus{} },
			PrepareUpdate:  func(a, old *storagev1.VolumeAttachment) { a.Status = old.Status },
			Validate:       func(a *storagev1.VolumeAttachment) field.ErrorList { return validateAttachment(&a.Spec) },
			ValidateUpdate: validateAttachmentUpdate, MetaAsNew: true,
		},
		Status: &api.RulesOf[*storagev1.VolumeAttachment]{
			Default:        defaultAttachment,
			PrepareUpdate:  func(a, old *storagev1.VolumeAttachment) { a.Spec = old.Spec },
			ValidateUpdate: validateAttachmentUpdate, MetaAsNew: true,
		},
		Columns: attachmentColumns(), Row: attachmentRow,
	}.Kind()
}

func defaultAttachment(a *storagev1.VolumeAttachment) {
	if spec := a.Spec.Source.InlineVolumeSpec; spec != nil {
		core.DefaultVolumeSource(spec)
	}
}

func attachmentColumns() []api.Column {
	spec := storagev1.VolumeAttachmentSpec{}
	return []api.Column{
		column.Name(),
		{Name: "Attacher", Type: "string", Format: "name", Description: column.Doc(spec, "attacher")},
		column.Text("PV", column.Doc(storagev1.VolumeAttachmentSource{}, "persistentVolumeName")),
		column.Text("Node", column.Doc(spec, "nodeName")),
		{Name: "Attached", Type: "boolean", Description: column.Doc(storagev1.VolumeAttachmentStatus{}, "attached")},
		column.Age(),
	}
}

func attachmentRow(a *storagev1.VolumeAttachment, now time.Time) []any {
	return []any{
		a.Name, a.Spec.Attacher, optional.Value(a.Spec.Source.PersistentVolumeName), a.Spec.NodeName,
		a.Status.Attached, column.Since(a.CreationTimestamp, now),
	}
}

func validateAttachmentUpdate(a, old *storagev1.VolumeAttachment) field.ErrorList {
	errs := append(validateAttachment(&a.Spec), validateAttachmentStatus(&a.Status, field.NewPath("status"))...)
	if !equality.Semantic.DeepEqual(a.Spec, old.Spec) {
		errs = append(errs, field.Invalid(field.NewPath("spec"), validate.Shown(a.Spec), "field is immutable"))
	}
	return errs
}

// What drivers may tell of an attachment, in bytes.
const (
	maxAttachmentMetadata = 256 << 10
	maxAttachmentMessage  = 1024
)

func validateAttachmentStatus(s *storagev1.VolumeAttachmentStatus, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	size := 0
	for k, v := range s.AttachmentMetadata {
		size += len(k) + len(v)
	}
	if size > maxAttachmentMetadata {
		errs = append(errs, field.TooLong(path.Child("attachmentMetadata"), "", maxAttachmentMetadata))
	}
	errs = append(errs, validateVolumeError(s.AttachError, path.Child("attachError"))...)
	return append(errs, validateVolumeError(s.DetachError, path.Child("detachError"))...)
}

func validateVolumeError(e *storagev1.VolumeError, path *field.Path) field.ErrorList {
	if e == nil {
		return nil
	}
	var errs field.ErrorList
	if len(e.Message) > maxAttachmentMessage {
		errs = append(errs, field.TooLong(path.Child("message"), "", maxAttachmentMetadata)) // upstream names the other bound
	}
	if e.ErrorCode != nil && *e.ErrorCode < 0 {
		errs = append(errs, field.Invalid(path.Child("errorCode"), *e.ErrorCode, validation.InclusiveRangeError(0, math.MaxInt32)))
	}
	return errs
}

func validateAttachment(s *storagev1.VolumeAttachmentSpec) field.ErrorList {
	path := field.NewPath("spec")
	errs := validate.DriverName(s.Attacher, path.Child("attacher"))
	source := path.Child("source")
	const text = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
	switch name, inline := s.Source.PersistentVolumeName, s.Source.InlineVolumeSpec; {
	case name == nil && inline == nil:
		errs = append(errs, field.Required(source, text))
	case name != nil && inline != nil:
		errs = append(errs, field.Forbidden(source, text))
	case name != nil && *name == "":
		errs = append(errs, field.Required(source.Child("persistentVolumeName"), "must specify non empty persistentVolumeName"))
	}
	errs = append(errs, validate.Name(validate.Subdomain, s.NodeName, path.Child("nodeName"))...)
	if name := s.Source.PersistentVolumeName; name != nil {
		errs = append(errs, validate.Name(validate.Subdomain, *name, source.Child("persistentVolumeName"))...)
	}
	if inline := s.Source.InlineVolumeSpec; inline != nil && s.Source.PersistentVolumeName == nil {
		errs = append(errs, core.ValidateInlineVolume(inline, source.Child("inlineVolumeSpec"))...)
	}
	return errs
}
