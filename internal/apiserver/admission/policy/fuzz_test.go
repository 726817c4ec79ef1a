package policy

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kadmission "k8s.io/apiserver/pkg/admission"
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"

	"github.com/knarr-io/knarr/internal/api/celcheck"
)

// subject is a write that expressions judge.
func subject(t *testing.T) *input {
	k := corev1.SchemeGroupVersion.WithKind("ConfigMap")
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "a", "namespace": "default", "labels": map[string]any{"x": "y"}},
		"data":     map[string]any{"a": "1", "b": "(a+)+$"}, "list": []any{int64(1), 2.5, nil, true, map[string]any{}}}}
	resource := corev1.SchemeGroupVersion.WithResource("configmaps")
	record := kadmission.NewAttributesRecord(obj, nil, k, "default", "a", resource, "", kadmission.Create, nil, false, &user.DefaultInfo{Name: "jane"})
	return &input{ctx: t.Context(), versioned: &kadmission.VersionedAttributes{Attributes: record, VersionedKind: k, VersionedObject: obj},
		authorizer: authorizerfactory.NewAlwaysAllowAuthorizer(),
		request:    kcel.CreateAdmissionRequest(record, metav1.GroupVersionResource(resource), metav1.GroupVersionKind(k)),
		namespace:  &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}}
}

// FuzzExpression gives the compilers what strangers may write as expressions:
// what the check of a policy lets pass, alone or beside a variable, must
// compile when the policy is used, and come to one decision within its budget.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"true", "object.metadata.name.startsWith('c')", "object.spec.all(x, x.all(y, y == x))", "authorizer.group('').resource('pods').check('get').allowed()",
		"'a'.matches('(a{1,1000}){1,1000}')", "variables.n > 1", "oldObject == null || quantity(object.spec.size).isGreaterThan(quantity('1Gi'))",
		"object.data.all(k, object.data[k].matches(object.data.b))", "object.list.exists(x, x > 1)", "request.userInfo.username == namespaceObject.metadata.name",
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
			if decisions, _ := v.evaluate(subject(t)); len(decisions) != 1 {
				t.Errorf("%q comes to %d decisions", text, len(decisions))
			}
		}
	})
}
