// Package celenv compiles the CEL expressions of admission: webhooks' match
// conditions and policies. The environments that it takes cost milliseconds and
// megabytes; they are made when the first expression is compiled, and those of
// expressions without variables are the ones that checked them when they were
// written. The package owns no state of its own.
package celenv

import (
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/knarr-io/knarr/internal/api/celcheck"
)

// Base is the environment of upstream's current minor version. The library
// keeps the one that it makes and shares it.
func Base() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}

// Plain compiles expressions that see no variables of their policy. The zero
// value is ready, and safe for concurrent use. One that does not compile fails
// when it is evaluated.
type Plain struct{}

var (
	_ kcel.ConditionCompiler = Plain{}
	_ kcel.MutatingCompiler  = Plain{}
)

// CompileCondition makes programs that give a value each.
func (Plain) CompileCondition(expressions []kcel.ExpressionAccessor, declared kcel.OptionalVariableDeclarations, mode environment.Type) kcel.ConditionEvaluator {
	compiler := celcheck.Shared()
	results := make([]kcel.CompilationResult, len(expressions))
	for i, e := range expressions {
		if e != nil {
			results[i] = compiler.CompileCELExpression(e, declared, mode)
		}
	}
	return kcel.NewCondition(results)
}

// CompileMutatingEvaluator makes a program that gives a change.
func (Plain) CompileMutatingEvaluator(e kcel.ExpressionAccessor, declared kcel.OptionalVariableDeclarations, mode environment.Type) kcel.MutatingEvaluator {
	return kcel.NewMutatingEvaluator(celcheck.Shared().CompileCELExpression(e, declared, mode))
}
