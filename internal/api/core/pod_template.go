package core

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

func podTemplateKind() *api.Kind {
	path := field.NewPath("template")
	return api.Spec[*corev1.PodTemplate]{
		Version: version, Name: "PodTemplate", Resource: "podtemplates", Singular: "podtemplate",
		Namespaced: true,
		New:        func() *corev1.PodTemplate { return &corev1.PodTemplate{} },
		NewList:    func() runtime.Object { return &corev1.PodTemplateList{} },
		Main: api.RulesOf[*corev1.PodTemplate]{
			Default: func(t *corev1.PodTemplate) { DefaultPodTemplate(&t.Template) },
			PrepareCreate: func(t *corev1.PodTemplate) {
				t.Generation = 1
				DropTemplateFields(&t.Template, nil)
			},
			PrepareUpdate: func(t, old *corev1.PodTemplate) {
				t.Generation = old.Generation
				DropTemplateFields(&t.Template, &old.Template)
			},
			Validate: func(t *corev1.PodTemplate) field.ErrorList {
				return ValidatePodTemplate(&t.Template, path)
			},
			ValidateUpdate: func(t, old *corev1.PodTemplate) field.ErrorList {
				return ValidatePodTemplateUpdate(&t.Template, &old.Template, path)
			},
			Warn: func(t, old *corev1.PodTemplate, isUpdate bool) []string {
				if !isUpdate {
					return PodTemplateWarnings(&t.Template, nil, path)
				}
				return PodTemplateWarnings(&t.Template, &old.Template, path)
			},
			Generation: func(t, old *corev1.PodTemplate) bool {
				return !apiequality.Semantic.DeepEqual(t.Template, old.Template)
			},
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("Containers", "Names of each container in the template."),
			column.Text("Images", "Images referenced by each container in the template."),
			column.Text("Pod Labels", "The labels for the pod template."),
		},
		Row: func(t *corev1.PodTemplate, _ time.Time) []any {
			names, images := containerNames(t.Template.Spec.Containers)
			return []any{t.Name, names, images, column.Labels(t.Template.Labels)}
		},
		UnconditionalUpdate: true,
	}.Kind()
}
