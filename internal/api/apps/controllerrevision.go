package apps

import (
	"bytes"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// ControllerRevision is a snapshot of a controller's template; its data never
// changes.
func ControllerRevision() *api.Kind {
	return api.Spec[*appsv1.ControllerRevision]{
		Group: group, Version: version, Name: "ControllerRevision",
		Resource: "controllerrevisions", Singular: "controllerrevision",
		Namespaced: true,
		New:        func() *appsv1.ControllerRevision { return &appsv1.ControllerRevision{} },
		NewList:    func() runtime.Object { return &appsv1.ControllerRevisionList{} },
		Main: api.RulesOf[*appsv1.ControllerRevision]{
			Validate:       validateRevision,
			ValidateUpdate: validateRevisionUpdate,
			MetaAgain:      true,
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("Controller", "Controller of the object"),
			column.Text("Revision", column.Doc(appsv1.ControllerRevision{}, "revision")),
			column.Age(),
		},
		Row: revisionRow,
	}.Kind()
}

func validateRevision(r *appsv1.ControllerRevision) field.ErrorList {
	var errs field.ErrorList
	if len(r.Data.Raw) == 0 && r.Data.Object == nil {
		errs = append(errs, field.Required(field.NewPath("data"), "data is mandatory"))
	} else if !isObject(r.Data.Raw) {
		errs = append(errs, field.Required(field.NewPath("data"), "data must be a valid JSON object"))
	}
	return append(errs, validate.NonNegative(r.Revision, field.NewPath("revision"))...)
}

// isObject tells whether raw JSON, which the decoder has checked, is an object.
func isObject(raw []byte) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || raw[0] == '{'
}

func validateRevisionUpdate(r, old *appsv1.ControllerRevision) field.ErrorList {
	errs := validate.NonNegative(r.Revision, field.NewPath("revision"))
	return append(errs, validate.Immutable(r.Data, old.Data, field.NewPath("data"))...)
}

func revisionRow(r *appsv1.ControllerRevision, now time.Time) []any {
	owner := column.None
	if ref := metav1.GetControllerOf(r); ref != nil {
		gv, err := schema.ParseGroupVersion(ref.APIVersion)
		if err == nil {
			owner = strings.ToLower(schema.GroupKind{Group: gv.Group, Kind: ref.Kind}.String()) + "/" + ref.Name
		}
	}
	return []any{r.Name, owner, r.Revision, column.Since(r.CreationTimestamp, now)}
}
