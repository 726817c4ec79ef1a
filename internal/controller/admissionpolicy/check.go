package admissionpolicy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// maxTypes bounds the kinds that the expressions of one rule are checked with.
const maxTypes = 10

// Types is what a check knows of the API.
type Types struct {
	// Kind finds the kind of a resource; empty where there is none.
	Kind func(schema.GroupVersionResource) schema.GroupVersionKind
	// Schema gives a kind's schema without references; an error where it is
	// not known: such a kind is passed over.
	Schema func(schema.GroupVersionKind) (*spec.Schema, error)
}

// checker checks the expressions of one policy.
type checker struct {
	policy  *admissionregistrationv1.ValidatingAdmissionPolicy
	objects []typed
	params  typed
}

// typed is a kind with its type in CEL; nil where it is not known.
type typed struct {
	gvk  schema.GroupVersionKind
	decl *apiservercel.DeclType
}

// Check compiles a policy's expressions with the types of every kind that its
// rules name, and warns of what does not fit, such as misspelled fields.
func Check(p *admissionregistrationv1.ValidatingAdmissionPolicy, types Types) []admissionregistrationv1.ExpressionWarning {
	c := &checker{policy: p}
	for i, gvk := range kindsOf(p, types) {
		if decl := declOf(gvk, i, types); decl != nil {
			c.objects = append(c.objects, typed{gvk, decl})
		}
	}
	if k := p.Spec.ParamKind; k != nil {
		c.params.gvk = schema.FromAPIVersionAndKind(k.APIVersion, k.Kind)
		c.params.decl = declOf(c.params.gvk, len(c.objects), types)
	}
	var out []admissionregistrationv1.ExpressionWarning
	warn := func(at *field.Path, text string) {
		if findings := c.findings(text); findings != "" {
			out = append(out, admissionregistrationv1.ExpressionWarning{FieldRef: at.String(), Warning: findings})
		}
	}
	for i, v := range p.Spec.Validations {
		at := field.NewPath("spec", "validations").Index(i)
		warn(at.Child("expression"), v.Expression)
		if v.MessageExpression != "" {
			warn(at.Child("messageExpression"), v.MessageExpression)
		}
	}
	return out
}

// kindsOf are the kinds that the policy's rules name without wildcards.
func kindsOf(p *admissionregistrationv1.ValidatingAdmissionPolicy, types Types) []schema.GroupVersionKind {
	if p.Spec.MatchConstraints == nil {
		return nil
	}
	var out []schema.GroupVersionKind
	for _, rule := range p.Spec.MatchConstraints.ResourceRules {
		if wild(rule.APIGroups) || wild(rule.APIVersions) {
			continue
		}
		out = append(out, kindsOfRule(rule.APIGroups, rule.APIVersions, rule.Resources, types)...)
	}
	slices.SortFunc(out, func(a, b schema.GroupVersionKind) int {
		return slices.Compare([]string{a.Group, a.Version, a.Kind}, []string{b.Group, b.Version, b.Kind})
	})
	return slices.Compact(out)
}

func wild(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "*") })
}

func kindsOfRule(groups, versions, resources []string, types Types) (out []schema.GroupVersionKind) {
	for _, group := range slices.Sorted(slices.Values(groups)) {
		for _, v := range slices.Sorted(slices.Values(versions)) {
			for _, resource := range slices.Sorted(slices.Values(resources)) {
				if strings.ContainsAny(resource, "*/") {
					continue
				}
				gvk := types.Kind(schema.GroupVersionResource{Group: group, Version: v, Resource: resource})
				if gvk.Empty() {
					continue
				}
				if out = append(out, gvk); len(out) == maxTypes {
					return out
				}
			}
		}
	}
	return out
}

// declOf is a kind's type; n keeps the names of types apart.
func declOf(gvk schema.GroupVersionKind, n int, types Types) *apiservercel.DeclType {
	s, err := types.Schema(gvk)
	if err != nil {
		return nil
	}
	decl := common.SchemaDeclType(&openapi.Schema{Schema: s}, true)
	if decl == nil {
		return nil
	}
	return decl.MaybeAssignTypeName(fmt.Sprintf("%s%d", gvk.Kind, n))
}

// findings are the complaints about one expression, for each kind.
func (c *checker) findings(text string) string {
	var out []string
	for _, object := range c.objects {
		if err := c.compile(text, object); err != nil {
			out = append(out, fmt.Sprintf("%v: %s\n", object.gvk, err))
		}
	}
	return strings.Join(out, "\n")
}

// compile compiles an expression with one kind's types.
func (c *checker) compile(text string, object typed) error {
	env, err := c.environment(object)
	if err != nil {
		return err
	}
	composed, err := kcel.NewCompositedCompilerForTypeChecking(env)
	if err != nil {
		return err
	}
	composed.Compiler = typeCompiler{composed}
	declared := kcel.OptionalVariableDeclarations{HasParams: c.policy.Spec.ParamKind != nil, HasAuthorizer: true}
	for _, v := range c.policy.Spec.Variables {
		composed.CompileAndStoreVariable(expression{v.Name, v.Expression}, declared, environment.StoredExpressions)
	}
	if failed := composed.CompileCELExpression(expression{"", text}, declared, environment.StoredExpressions).Error; failed != nil {
		return failed
	}
	return nil
}

// environment declares the variables with their types.
func (c *checker) environment(object typed) (*environment.EnvSet, error) {
	request, namespace := kcel.BuildRequestType(), kcel.BuildNamespaceType()
	declared := []*apiservercel.DeclType{request, namespace, object.decl}
	variables := []cel.EnvOption{
		cel.Variable(kcel.RequestVarName, request.CelType()), cel.Variable(kcel.NamespaceVarName, namespace.CelType()),
		cel.Variable(kcel.ObjectVarName, object.decl.CelType()), cel.Variable(kcel.OldObjectVarName, object.decl.CelType()),
		cel.Variable(kcel.AuthorizerVarName, library.AuthorizerType),
		cel.Variable(kcel.RequestResourceAuthorizerVarName, library.ResourceCheckType),
	}
	if c.policy.Spec.ParamKind != nil {
		of := cel.DynType
		if c.params.decl != nil {
			declared, of = append(declared, c.params.decl), c.params.decl.CelType()
		}
		variables = append(variables, cel.Variable(kcel.ParamsVarName, of))
	}
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0), EnvOptions: variables, DeclTypes: declared,
	})
}

// expression is CEL that may give anything.
type expression struct{ name, text string }

func (e expression) GetName() string          { return e.name }
func (e expression) GetExpression() string    { return e.text }
func (e expression) ReturnTypes() []*cel.Type { return []*cel.Type{cel.AnyType} }

// typeCompiler checks types and makes no program.
type typeCompiler struct{ in *kcel.CompositedCompiler }

// CompileCELExpression implements the library's Compiler.
func (t typeCompiler) CompileCELExpression(e kcel.ExpressionAccessor, _ kcel.OptionalVariableDeclarations, mode environment.Type) kcel.CompilationResult {
	env, err := t.in.Env(mode)
	if err != nil {
		return kcel.CompilationResult{ExpressionAccessor: e, Error: &apiservercel.Error{Type: apiservercel.ErrorTypeInternal, Detail: err.Error()}}
	}
	ast, issues := env.Compile(e.GetExpression())
	if issues != nil {
		return kcel.CompilationResult{ExpressionAccessor: e, Error: &apiservercel.Error{Type: apiservercel.ErrorTypeInvalid, Detail: issues.String()}}
	}
	return kcel.CompilationResult{ExpressionAccessor: e, OutputType: ast.OutputType()}
}
