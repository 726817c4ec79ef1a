package bootstrap

import (
	"fmt"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	flowdefaults "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"

	"github.com/knarr-io/knarr/internal/api"
)

// mandatoryFlow and suggestedFlow are the flow schemas and priority levels
// that upstream gives every cluster, from its own list. Mandatory ones cannot
// be other than they are; suggested ones follow newer lists unless somebody
// took them over.
func mandatoryFlow() []api.Object {
	return flowObjects(flowdefaults.MandatoryPriorityLevelConfigurations, flowdefaults.MandatoryFlowSchemas)
}

func suggestedFlow() []api.Object {
	return flowObjects(flowdefaults.SuggestedPriorityLevelConfigurations, flowdefaults.SuggestedFlowSchemas)
}

func flowObjects(levels []*flowcontrolv1.PriorityLevelConfiguration, schemas []*flowcontrolv1.FlowSchema) []api.Object {
	var out []api.Object
	for _, level := range levels {
		level = level.DeepCopy()
		metav1.SetMetaDataAnnotation(&level.ObjectMeta, flowcontrolv1.AutoUpdateAnnotationKey, "true")
		out = append(out, level)
	}
	for _, schema := range schemas {
		schema = schema.DeepCopy()
		metav1.SetMetaDataAnnotation(&schema.ObjectMeta, flowcontrolv1.AutoUpdateAnnotationKey, "true")
		schema.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{
			Type: flowcontrolv1.FlowSchemaConditionDangling, Status: flowcontrolv1.ConditionFalse,
			LastTransitionTime: metav1.Now().Rfc3339Copy(), Reason: "Found",
			Message: fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists",
				schema.Spec.PriorityLevelConfiguration.Name),
		}}
		out = append(out, schema)
	}
	return out
}

// fixMandatory puts back the spec, whatever the annotation says.
func fixMandatory(existing, wanted api.Object) api.Object { return fixFlowSpec(existing, wanted) }

// fixSuggested follows the list as long as the annotation asks for that or,
// where it is missing, nobody changed the object.
func fixSuggested(existing, wanted api.Object) api.Object {
	switch existing.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey] {
	case "true":
	case "":
		if existing.GetGeneration() != 1 {
			return nil
		}
	default:
		return nil
	}
	return fixFlowSpec(existing, wanted)
}

// fixFlowSpec is nil where the spec is as wanted.
func fixFlowSpec(existing, wanted api.Object) api.Object {
	switch old := existing.(type) {
	case *flowcontrolv1.FlowSchema:
		spec := wanted.(*flowcontrolv1.FlowSchema).Spec
		if equality.Semantic.DeepEqual(old.Spec, spec) {
			return nil
		}
		out := old.DeepCopy()
		spec.DeepCopyInto(&out.Spec)
		out.Generation++
		return out
	case *flowcontrolv1.PriorityLevelConfiguration:
		spec := wanted.(*flowcontrolv1.PriorityLevelConfiguration).Spec.DeepCopy()
		if old.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt {
			spec.Exempt = old.Spec.Exempt // how much it lends is free
		}
		if equality.Semantic.DeepEqual(old.Spec, *spec) {
			return nil
		}
		out := old.DeepCopy()
		out.Spec = *spec
		out.Generation++
		return out
	}
	return nil
}
