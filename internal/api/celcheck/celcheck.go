// Package celcheck compiles the CEL expressions of admission webhooks and
// policies, so that wrong ones are refused when they are written.
//
// It says which variables an expression may use and which types it may give;
// to evaluate is the business of admission. The environments are upstream's,
// from k8s.io/apiserver. They are made when the first expression comes, since
// they cost milliseconds and most servers see none. A Compiler belongs to the
// check of one object and is not safe for concurrent use.
package celcheck

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Variables tells which variables exist beside object, oldObject, request and
// namespaceObject.
type Variables = plugincel.OptionalVariableDeclarations

// Compiler checks expressions, and remembers variables that later ones use.
type Compiler struct {
	plain     plugincel.Compiler
	composite *plugincel.CompositedCompiler
}

// Shared is the compiler of expressions that see no variables of their object.
// It is made once, is what they are checked and evaluated with, and is safe for
// concurrent use: a compiler without composed variables has no state.
func Shared() plugincel.Compiler { return plain() }

var plain = sync.OnceValue(func() plugincel.Compiler {
	return plugincel.NewCompiler(base())
})

func base() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}

// New makes a compiler; composed says that the object defines variables.
func New(composed bool) (*Compiler, error) {
	c := &Compiler{plain: plain()}
	if !composed {
		return c, nil
	}
	composite, err := plugincel.NewCompositedCompiler(base())
	if err != nil {
		return nil, fmt.Errorf("CEL environment for variables: %w", err)
	}
	c.composite = composite
	return c, nil
}

// Expression is a text and what it must give.
type Expression struct {
	// Name is set for a variable.
	Name, Text string
	types      []*cel.Type
}

// GetName implements plugincel.NamedExpressionAccessor.
func (e *Expression) GetName() string { return e.Name }

// GetExpression implements plugincel.ExpressionAccessor.
func (e *Expression) GetExpression() string { return e.Text }

// ReturnTypes implements plugincel.ExpressionAccessor.
func (e *Expression) ReturnTypes() []*cel.Type { return e.types }

// Bool is an expression that must give true or false.
func Bool(text string) *Expression {
	return &Expression{Text: text, types: []*cel.Type{cel.BoolType}}
}

// String is an expression that must give a text.
func String(text string) *Expression {
	return &Expression{Text: text, types: []*cel.Type{cel.StringType}}
}

// StringOrNull is an expression that must give a text or nothing.
func StringOrNull(text string) *Expression {
	return &Expression{Text: text, types: []*cel.Type{cel.StringType, cel.NullType}}
}

// Variable is a named expression that may give anything.
func Variable(name, text string) *Expression {
	return &Expression{Name: name, Text: text, types: []*cel.Type{cel.AnyType, cel.DynType}}
}

// ApplyConfiguration is an expression that must give a part of an object.
func ApplyConfiguration(text string) *Expression {
	return &Expression{Text: text, types: []*cel.Type{cel.ObjectType("Object")}}
}

// JSONPatch is an expression that must give a list of patch operations.
func JSONPatch(text string) *Expression {
	return &Expression{Text: text, types: []*cel.Type{cel.ListType(cel.ObjectType("JSONPatch"))}}
}

// Check compiles the expression. known says that the stored object holds it
// already: such an expression may use what an older version of the API knew.
// Variables of the object are in sight.
func (c *Compiler) Check(e *Expression, vars Variables, known bool, path *field.Path) field.ErrorList {
	if c.composite != nil {
		return report(e, c.composite.CompileCELExpression(e, vars, mode(known)), path)
	}
	return c.CheckAlone(e, vars, known, path)
}

// CheckAlone is Check for an expression that sees no variables of the object.
func (c *Compiler) CheckAlone(e *Expression, vars Variables, known bool, path *field.Path) field.ErrorList {
	return report(e, c.plain.CompileCELExpression(e, vars, mode(known)), path)
}

// Define compiles a variable and lets later expressions use it.
func (c *Compiler) Define(e *Expression, vars Variables, known bool, path *field.Path) field.ErrorList {
	if c.composite == nil {
		return field.ErrorList{field.InternalError(path, errors.New("variable composition is not allowed"))}
	}
	return report(e, c.composite.CompileAndStoreVariable(e, vars, mode(known)), path)
}

func mode(known bool) environment.Type {
	if known {
		return environment.StoredExpressions
	}
	return environment.NewExpressions
}

func report(e *Expression, result plugincel.CompilationResult, path *field.Path) field.ErrorList {
	if result.Error == nil {
		return nil
	}
	switch result.Error.Type {
	case apiservercel.ErrorTypeRequired:
		return field.ErrorList{field.Required(path, result.Error.Detail)}
	case apiservercel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(path, e.Text, result.Error.Detail)}
	}
	return field.ErrorList{field.InternalError(path, result.Error)}
}
