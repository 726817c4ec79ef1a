package admissionpolicy

import (
	"errors"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// types know of Deployments and Things, and that both have a spec.replicas.
func types() Types {
	return Types{
		Kind: func(r schema.GroupVersionResource) schema.GroupVersionKind {
			kind := map[string]string{"deployments": "Deployment", "things": "Thing", "unknowns": "Unknown"}[r.Resource]
			if kind == "" {
				return schema.GroupVersionKind{}
			}
			return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: kind}
		},
		Schema: func(gvk schema.GroupVersionKind) (*spec.Schema, error) {
			if gvk.Kind == "Unknown" {
				return nil, errors.New("no schema")
			}
			text := *spec.StringProperty()
			inner := spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{"object"}, Properties: map[string]spec.Schema{"replicas": *spec.Int32Property()}}}
			if gvk.Kind == "Thing" {
				inner.Properties["color"] = text
			}
			return &spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{"object"}, Properties: map[string]spec.Schema{"spec": inner}}}, nil
		},
	}
}

func policyOf(resources []string, rules ...admissionregistrationv1.Validation) *policy {
	return &policy{Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		Variables: []admissionregistrationv1.Variable{{Name: "n", Expression: "object.spec.replicas"}},
		MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
			RuleWithOperations: admissionregistrationv1.RuleWithOperations{Rule: admissionregistrationv1.Rule{
				APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: resources,
			}},
		}}},
		Validations: rules,
	}}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		resources []string
		rule      admissionregistrationv1.Validation
		field     string
		want      []string // of the warning; none: no warning
	}{
		"fits":              {[]string{"deployments"}, admissionregistrationv1.Validation{Expression: "object.spec.replicas > 1 && request.operation == 'CREATE'"}, "", nil},
		"variable":          {[]string{"deployments"}, admissionregistrationv1.Validation{Expression: "variables.n > 1"}, "", nil},
		"variable's type":   {[]string{"deployments"}, admissionregistrationv1.Validation{Expression: "variables.n == 'x'"}, "spec.validations[0].expression", []string{"apps/v1, Kind=Deployment: ", "no matching overload"}},
		"unknown field":     {[]string{"deployments"}, admissionregistrationv1.Validation{Expression: "object.foo > 1"}, "spec.validations[0].expression", []string{"apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'foo'"}},
		"message":           {[]string{"deployments"}, admissionregistrationv1.Validation{Expression: "true", MessageExpression: "object.foo"}, "spec.validations[0].messageExpression", []string{"undefined field 'foo'"}},
		"only one kind":     {[]string{"things", "deployments"}, admissionregistrationv1.Validation{Expression: "object.spec.color == 'red'"}, "spec.validations[0].expression", []string{"Kind=Deployment: ERROR"}},
		"wildcard":          {[]string{"*"}, admissionregistrationv1.Validation{Expression: "object.foo"}, "", nil},
		"schema not known":  {[]string{"unknowns"}, admissionregistrationv1.Validation{Expression: "object.foo"}, "", nil},
		"authorizer is had": {[]string{"deployments"}, admissionregistrationv1.Validation{Expression: "authorizer.requestResource.check('get').allowed()"}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := Check(policyOf(c.resources, c.rule), types())
			if len(c.want) == 0 {
				if len(got) != 0 {
					t.Errorf("warnings are %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].FieldRef != c.field {
				t.Fatalf("warnings are %+v", got)
			}
			for _, want := range c.want {
				if !strings.Contains(got[0].Warning, want) {
					t.Errorf("warning %q does not say %q", got[0].Warning, want)
				}
			}
		})
	}
}
