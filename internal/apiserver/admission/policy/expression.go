package policy

import (
	"context"

	"github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/knarr-io/knarr/internal/apiserver/admission/celenv"
)

// expression is CEL with the types that it may give. What is only a variable is
// compiled as of any type: its own was checked when the policy was written.
type expression struct {
	text  string
	types []*cel.Type
}

func (e expression) GetExpression() string { return e.text }

func (e expression) ReturnTypes() []*cel.Type { return append(e.types, cel.DynType) }

// variable is an expression that others use by name.
type variable struct {
	admissionregistrationv1.Variable
}

func (v variable) GetName() string { return v.Name }

func (v variable) GetExpression() string { return v.Expression }

func (v variable) ReturnTypes() []*cel.Type { return []*cel.Type{cel.AnyType, cel.DynType} }

// compiler makes programs of expressions.
type compiler interface {
	kcel.ConditionCompiler
	kcel.MutatingCompiler
}

// programs compiles the expressions of one policy.
type programs struct {
	compiler
	// composite is the compiler of a policy with variables; nil without.
	composite *kcel.CompositedCompiler
	declared  kcel.OptionalVariableDeclarations
}

// newPrograms defines the policy's variables.
func newPrograms(hasParams bool, variables []admissionregistrationv1.Variable) (*programs, error) {
	p := &programs{compiler: celenv.Plain(), declared: kcel.OptionalVariableDeclarations{HasParams: hasParams, HasAuthorizer: true}}
	if len(variables) == 0 {
		return p, nil
	}
	c, err := celenv.Composed()
	if err != nil {
		return nil, err
	}
	p.compiler, p.composite = c, c
	for _, v := range variables {
		c.CompileAndStoreVariable(variable{v}, p.declared, environment.StoredExpressions)
	}
	return p, nil
}

// context is one in which the policy's variables are evaluated, once each.
func (p *programs) context(ctx context.Context) context.Context {
	if p.composite == nil {
		return ctx
	}
	return p.composite.CreateContext(ctx)
}

// conditions compiles match conditions; nil where there are none.
func (p *programs) conditions(list []admissionregistrationv1.MatchCondition, failure *admissionregistrationv1.FailurePolicyType, policy string) matchconditions.Matcher {
	if len(list) == 0 {
		return nil
	}
	expressions := make([]kcel.ExpressionAccessor, len(list))
	for i := range list {
		expressions[i] = (*matchconditions.MatchCondition)(&list[i])
	}
	return matchconditions.NewMatcher(p.all(expressions, p.declared), failure, "policy", "validate", policy)
}

func (p *programs) all(list []kcel.ExpressionAccessor, declared kcel.OptionalVariableDeclarations) kcel.ConditionEvaluator {
	return p.CompileCondition(list, declared, environment.StoredExpressions)
}
