package admissionregistration

import (
	"slices"
	"strings"

	registration "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/celcheck"
)

// expressions compiles those of one policy; the compiler is made when the
// first one comes.
type expressions struct {
	params, composed, patches bool
	compiler                  *celcheck.Compiler
}

// all are the variables of most expressions of a policy.
func (e *expressions) all() celcheck.Variables {
	return celcheck.Variables{HasParams: e.params, HasAuthorizer: true, HasPatchTypes: e.patches}
}

func (e *expressions) ready() error {
	if e.compiler != nil {
		return nil
	}
	compiler, err := celcheck.New(e.composed)
	if err != nil {
		return err
	}
	e.compiler = compiler
	return nil
}

func (e *expressions) check(x *celcheck.Expression, vars celcheck.Variables, known bool, path *field.Path) field.ErrorList {
	if err := e.ready(); err != nil {
		return field.ErrorList{field.InternalError(path, err)}
	}
	return e.compiler.Check(x, vars, known, path)
}

func (e *expressions) variables(list []registration.Variable, known map[string]bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	vars := celcheck.Variables{HasParams: e.params, HasAuthorizer: true}
	for i, v := range list {
		at := path.Index(i)
		switch {
		case strings.TrimSpace(v.Name) == "":
			errs = append(errs, field.Required(at.Child("name"), "name is not specified"))
		case !isIdentifier(v.Name):
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, "must be a valid CEL identifier"))
		}
		if strings.TrimSpace(v.Expression) == "" {
			errs = append(errs, field.Required(at.Child("expression"), "expression is not specified"))
			continue
		}
		if err := e.ready(); err != nil {
			return append(errs, field.InternalError(at, err))
		}
		errs = append(errs, e.compiler.Define(celcheck.Variable(v.Name, v.Expression), vars, known[v.Expression], at.Child("expression"))...)
	}
	return errs
}

// isIdentifier follows the grammar of CEL, its reserved words included.
func isIdentifier(name string) bool {
	reserved := []string{
		"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
		"import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
	}
	if name == "" || slices.Contains(reserved, name) {
		return false
	}
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
