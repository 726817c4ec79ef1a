// Package celenv compiles the CEL expressions of admission: webhooks' match
// conditions and policies. The environments that it takes cost milliseconds and
// megabytes, so that there are two for all of them, made when the first
// expression is compiled: the one in which expressions were checked when they
// were written, and one for policies with variables. The package owns no other
// state; everything is safe for concurrent use.
package celenv

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/version"
	kcel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/knarr-io/knarr/internal/api/celcheck"
)

// Compiler makes programs of expressions. One that does not compile fails when
// it is evaluated.
type Compiler struct{ kcel.Compiler }

var (
	_ kcel.ConditionCompiler = Compiler{}
	_ kcel.MutatingCompiler  = Compiler{}
)

// Plain compiles expressions that see no variables of their policy.
func Plain() Compiler { return Compiler{celcheck.Shared()} }

// Composed compiles the expressions of one policy with variables, which the
// caller defines first, and then no more. Which types they are of counted when
// the policy was checked; here they are of any, so that all policies share
// their environment. An expression that is nothing but a variable is therefore
// of any type too.
func Composed() (*kcel.CompositedCompiler, error) {
	shared, err := composed()
	if err != nil {
		return nil, fmt.Errorf("CEL environment for variables: %w", err)
	}
	out, err := kcel.NewCompositedCompilerForTypeChecking(base())
	if err != nil {
		return nil, fmt.Errorf("CEL environment for variables: %w", err)
	}
	out.Compiler, out.ConditionCompiler, out.MutatingCompiler = shared, shared, shared
	return out, nil
}

var composed = sync.OnceValues(func() (Compiler, error) {
	env, err := base().Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0), EnvOptions: []cel.EnvOption{cel.Variable(kcel.VariableVarName, cel.DynType)},
	})
	if err != nil {
		return Compiler{}, err
	}
	return Compiler{kcel.NewCompiler(env)}, nil
})

// base is the environment of upstream's current minor version. The library
// keeps the one that it makes and shares it.
func base() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}

// CompileCondition makes programs that give a value each.
func (c Compiler) CompileCondition(expressions []kcel.ExpressionAccessor, declared kcel.OptionalVariableDeclarations, mode environment.Type) kcel.ConditionEvaluator {
	results := make([]kcel.CompilationResult, len(expressions))
	for i, e := range expressions {
		if e != nil {
			results[i] = c.CompileCELExpression(e, declared, mode)
		}
	}
	return kcel.NewCondition(results)
}

// CompileMutatingEvaluator makes a program that gives a change.
func (c Compiler) CompileMutatingEvaluator(e kcel.ExpressionAccessor, declared kcel.OptionalVariableDeclarations, mode environment.Type) kcel.MutatingEvaluator {
	return kcel.NewMutatingEvaluator(c.CompileCELExpression(e, declared, mode))
}
