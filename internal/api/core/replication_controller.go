package core

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

type replicationController = corev1.ReplicationController

func replicationControllerKind() *api.Kind {
	scale := schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}
	return api.Spec[*replicationController]{
		Version: version, Name: "ReplicationController", Resource: "replicationcontrollers", Singular: "replicationcontroller",
		ShortNames: []string{"rc"},
		Categories: []string{"all"},
		Namespaced: true,
		New:        func() *replicationController { return &replicationController{} },
		NewList:    func() runtime.Object { return &corev1.ReplicationControllerList{} },
		Main: api.RulesOf[*replicationController]{
			NameRule: validate.LongName,
			Default:  defaultReplicationController,
			PrepareCreate: func(rc *replicationController) {
				rc.Status = corev1.ReplicationControllerStatus{}
				rc.Generation = 1
				if rc.Spec.Template != nil {
					DropTemplateFields(rc.Spec.Template, nil)
				}
			},
			PrepareUpdate: func(rc, old *replicationController) {
				rc.Status = old.Status
				rc.Generation = old.Generation
				if rc.Spec.Template != nil {
					DropTemplateFields(rc.Spec.Template, old.Spec.Template)
				}
			},
			Validate:       func(rc *replicationController) field.ErrorList { return validateReplicationController(rc, nil) },
			ValidateUpdate: validateReplicationController,
			Warn:           warnReplicationController,
			Generation: func(rc, old *replicationController) bool {
				return !apiequality.Semantic.DeepEqual(rc.Spec, old.Spec)
			},
		},
		Status: &api.RulesOf[*replicationController]{
			Default:        defaultReplicationController,
			PrepareUpdate:  func(rc, old *replicationController) { rc.Spec = old.Spec },
			ValidateUpdate: validateReplicationControllerStatus,
		},
		Subresources: []api.Subresource{{
			Name: "scale", GVK: scale, Verbs: readWriteVerbs(),
			Scale: &api.ScaleOf{Get: scaleOf, Set: setScale, ReplicasPath: []string{"spec", "replicas"}},
		}},
		Columns: replicationControllerColumns(),
		Row:     replicationControllerRow,
		Fields: func(rc *replicationController) fields.Set {
			return fields.Set{"status.replicas": itoa(rc.Status.Replicas)}
		},
		FieldNames:          []string{"status.replicas"},
		UnconditionalUpdate: true,
		OrphanByDefault:     true,
	}.Kind()
}

func defaultReplicationController(rc *replicationController) {
	if rc.Spec.Template != nil {
		DefaultPodTemplate(rc.Spec.Template)
		if l := rc.Spec.Template.Labels; len(l) > 0 {
			if len(rc.Spec.Selector) == 0 {
				rc.Spec.Selector = l
			}
			if len(rc.Labels) == 0 {
				rc.Labels = l
			}
		}
	}
	optional.Default(&rc.Spec.Replicas, 1)
}

func scaleOf(obj api.Object) (spec, status int32, selector string) {
	rc := obj.(*replicationController)
	if rc.Spec.Replicas != nil {
		spec = *rc.Spec.Replicas
	}
	return spec, rc.Status.Replicas, labels.Set(rc.Spec.Selector).String()
}

func setScale(obj api.Object, replicas int32) {
	obj.(*replicationController).Spec.Replicas = &replicas
}

func replicationControllerColumns() []api.Column {
	spec, status := corev1.ReplicationControllerSpec{}, corev1.ReplicationControllerStatus{}
	return []api.Column{
		column.Name(),
		column.Number("Desired", column.Doc(spec, "replicas")),
		column.Number("Current", column.Doc(status, "replicas")),
		column.Number("Ready", column.Doc(status, "readyReplicas")),
		column.Age(),
		column.Wide(column.Text("Containers", "Names of each container in the template.")),
		column.Wide(column.Text("Images", "Images referenced by each container in the template.")),
		column.Wide(column.Text("Selector", column.Doc(spec, "selector"))),
	}
}

func replicationControllerRow(rc *replicationController, now time.Time) []any {
	names, images := "", ""
	if rc.Spec.Template != nil {
		names, images = containerNames(rc.Spec.Template.Spec.Containers)
	}
	desired, _, _ := scaleOf(rc)
	return []any{
		rc.Name, int64(desired), int64(rc.Status.Replicas), int64(rc.Status.ReadyReplicas),
		column.Since(rc.CreationTimestamp, now), names, images, column.Labels(rc.Spec.Selector),
	}
}

func validateReplicationController(rc, old *replicationController) field.ErrorList {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	errs = append(errs, validate.NonNegative(rc.Spec.MinReadySeconds, spec.Child("minReadySeconds"))...)
	if len(rc.Spec.Selector) == 0 {
		errs = append(errs, field.Required(spec.Child("selector"), ""))
	}
	if rc.Spec.Replicas == nil {
		errs = append(errs, field.Required(spec.Child("replicas"), ""))
	} else {
		errs = append(errs, validate.NonNegative(*rc.Spec.Replicas, spec.Child("replicas"))...)
	}
	if rc.Spec.Template == nil {
		return append(errs, field.Required(spec.Child("template"), ""))
	}
	var was *corev1.PodTemplateSpec
	if old != nil {
		was = old.Spec.Template
	}
	return append(errs, replicatedTemplate(rc, was, spec.Child("template"))...)
}

func replicatedTemplate(rc *replicationController, old *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	t := rc.Spec.Template
	var errs field.ErrorList
	if s := labels.Set(rc.Spec.Selector).AsSelectorPreValidated(); !s.Empty() && !s.Matches(labels.Set(t.Labels)) {
		errs = append(errs, field.Invalid(path.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`"))
	}
	errs = append(errs, validatePodTemplate(t, old, path)...)
	if t.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("spec", "restartPolicy"), t.Spec.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	return append(errs, forbidden(t.Spec.ActiveDeadlineSeconds != nil, path.Child("spec", "activeDeadlineSeconds"),
		"activeDeadlineSeconds in ReplicationController is not Supported")...)
}

func validateReplicationControllerStatus(rc, _ *replicationController) field.ErrorList {
	status, s := field.NewPath("status"), &rc.Status
	errs := validate.NonNegative(s.Replicas, status.Child("replicas"))
	errs = append(errs, validate.NonNegative(s.FullyLabeledReplicas, status.Child("fullyLabeledReplicas"))...)
	errs = append(errs, validate.NonNegative(s.ReadyReplicas, status.Child("readyReplicas"))...)
	errs = append(errs, validate.NonNegative(s.AvailableReplicas, status.Child("availableReplicas"))...)
	errs = append(errs, validate.NonNegative(s.ObservedGeneration, status.Child("observedGeneration"))...)
	over := func(n, most int32, name, other string) {
		if n > most {
			errs = append(errs, field.Invalid(status.Child(name), n, "cannot be greater than "+other))
		}
	}
	over(s.FullyLabeledReplicas, s.Replicas, "fullyLabeledReplicas", "status.replicas")
	over(s.ReadyReplicas, s.Replicas, "readyReplicas", "status.replicas")
	over(s.AvailableReplicas, s.Replicas, "availableReplicas", "status.replicas")
	over(s.AvailableReplicas, s.ReadyReplicas, "availableReplicas", "readyReplicas")
	return errs
}

// warnReplicationController warns of the template, in an update only where
// the spec changed and then of the old one, as upstream does.
func warnReplicationController(rc, old *replicationController, isUpdate bool) []string {
	path := field.NewPath("spec", "template")
	if !isUpdate {
		var out []string
		if why := validation.IsDNS1123Label(rc.Name); len(why) > 0 {
			out = append(out, fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", why))
		}
		if rc.Spec.Template == nil {
			return out
		}
		return append(out, PodTemplateWarnings(rc.Spec.Template, nil, path)...)
	}
	if old.Spec.Template == nil || apiequality.Semantic.DeepEqual(rc.Spec, old.Spec) {
		return nil
	}
	return PodTemplateWarnings(old.Spec.Template, rc.Spec.Template, path)
}
