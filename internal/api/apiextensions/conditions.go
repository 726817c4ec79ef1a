package apiextensions

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// approval tells whether a definition in one of Kubernetes' own groups says by
// whom it was approved; nil for other groups.
func approval(d *v1.CustomResourceDefinition) *v1.CustomResourceDefinitionCondition {
	if !apihelpers.IsProtectedCommunityGroup(d.Spec.Group) {
		return nil
	}
	state, why := apihelpers.GetAPIApprovalState(d.Annotations)
	c := &v1.CustomResourceDefinitionCondition{
		Type: v1.KubernetesAPIApprovalPolicyConformant, Status: v1.ConditionFalse, Message: why,
	}
	switch state {
	case apihelpers.APIApprovalInvalid:
		c.Reason = "InvalidAnnotation"
	case apihelpers.APIApprovalMissing:
		c.Reason = "MissingAnnotation"
	case apihelpers.APIApproved:
		c.Status, c.Reason = v1.ConditionTrue, "ApprovedAnnotation"
	case apihelpers.APIApprovalBypassed:
		c.Reason = "UnapprovedAnnotation"
	default:
		c.Status, c.Reason = v1.ConditionUnknown, "UnknownAnnotation"
	}
	return c
}

// structure tells of schemas without structure, which only definitions that
// were stored before v1 can have; nil where all is well.
func structure(d *v1.CustomResourceDefinition) *v1.CustomResourceDefinitionCondition {
	c := &v1.CustomResourceDefinitionCondition{Type: v1.NonStructuralSchema, Status: v1.ConditionTrue, Reason: "Violations"}
	var errs field.ErrorList
	if d.Spec.PreserveUnknownFields {
		errs = append(errs, field.Invalid(field.NewPath("spec", "preserveUnknownFields"), true, "must be false"))
	}
	for i, v := range d.Spec.Versions {
		if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			continue
		}
		var in apiextensions.CustomResourceValidation
		if err := v1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v.Schema.DeepCopy(), &in, nil); err != nil {
			continue // nothing that could be judged
		}
		s, err := schema.NewStructural(in.OpenAPIV3Schema)
		if err != nil {
			c.Status, c.Reason = v1.ConditionUnknown, "StructuralError"
			c.Message = fmt.Sprintf("failed to check validation schema for version %s: %v", v.Name, err)
			return c
		}
		errs = append(errs, schema.ValidateStructural(field.NewPath("spec", "versions").Index(i).Child("schema", "openAPIV3Schema"), s)...)
	}
	if len(errs) == 0 {
		return nil
	}
	c.Message = errs.ToAggregate().Error()
	return c
}
