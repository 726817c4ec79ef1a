package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// validateMandatorySchema lets nobody change the schemas that every server
// relies on.
func validateMandatorySchema(s schema, path *field.Path) field.ErrorList {
	for _, want := range bootstrap.MandatoryFlowSchemas {
		if want.Name == s.Name && !equality.Semantic.DeepEqual(want.Spec, s.Spec) {
			return field.ErrorList{field.Invalid(path, validate.Shown(s.Spec), "spec of '"+s.Name+"' must equal the fixed value")}
		}
	}
	return nil
}

// validateMandatoryLevel does the same for levels. How much of its share the
// exempt level lends is free.
func validateMandatoryLevel(l level, path *field.Path) field.ErrorList {
	for _, want := range bootstrap.MandatoryPriorityLevelConfigurations {
		if want.Name != l.Name {
			continue
		}
		spec, why := l.Spec, "spec of '"+l.Name+"' must equal the fixed value"
		if l.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt {
			spec.Exempt = want.Spec.Exempt
			why = "spec of '" + l.Name + "' except the 'spec.exempt' field must equal the fixed value"
		}
		if !equality.Semantic.DeepEqual(want.Spec, spec) {
			return field.ErrorList{field.Invalid(path, validate.Shown(l.Spec), why)}
		}
	}
	return nil
}
