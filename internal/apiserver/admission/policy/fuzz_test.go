package policy

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/celcheck"
)

// FuzzExpression gives the compilers what strangers may write as expressions:
// what the check of a policy lets pass, alone or beside a variable, must
// compile when the policy is used.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"true", "object.metadata.name.startsWith('c')", "object.spec.all(x, x.all(y, y == x))", "authorizer.group('').resource('pods').check('get').allowed()",
		"'a'.matches('(a{1,1000}){1,1000}')", "variables.n > 1", "oldObject == null || quantity(object.spec.size).isGreaterThan(quantity('1Gi'))",
		"((((((((1))))))))", "[1,2,3].map(x, [x].map(y, y)).size() > 0", "dyn(object).?a.?b.orValue(1) == 1", "1 +", "\"\\u0000\" == ''",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, variables := range [][]admissionregistrationv1.Variable{nil, {{Name: "n", Expression: "2"}}} {
			check, err := celcheck.New(len(variables) > 0)
			if err != nil {
				t.Fatal(err)
			}
			declared := celcheck.Variables{HasAuthorizer: true}
			for _, v := range variables {
				if errs := check.Define(celcheck.Variable(v.Name, v.Expression), declared, false, field.NewPath("v")); len(errs) > 0 {
					t.Fatal(errs)
				}
			}
			accepted := len(check.Check(celcheck.Bool(text), declared, false, field.NewPath("e"))) == 0
			v := compileValidator(&admissionregistrationv1.ValidatingAdmissionPolicy{Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				Variables: variables, Validations: []admissionregistrationv1.Validation{{Expression: text}}}})
			if errs := v.validations.CompilationErrors(); v.broken != nil || accepted && len(errs) > 0 {
				t.Errorf("%q passes the check, and then: %v %v", text, v.broken, errs)
			}
		}
	})
}
