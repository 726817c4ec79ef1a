package corpus

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Constants reads the string constants that k8s.io/api declares for each of
// its types, by the type's import path and name, as in
// "k8s.io/api/core/v1.RestartPolicy". The module's sources must be there, as
// they are wherever the oracle was built.
func Constants() (map[string][]string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/api").Output()
	if err != nil {
		return nil, fmt.Errorf("find k8s.io/api (run the oracle in its module's folder): %w", err)
	}
	root := strings.TrimSpace(string(dir))
	files, err := filepath.Glob(filepath.Join(root, "*", "v*", "types.go"))
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		below, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return nil, err
		}
		collect(parsed, "k8s.io/api/"+filepath.ToSlash(below)+".", out)
	}
	return out, nil
}

func collect(file *ast.File, prefix string, out map[string][]string) {
	for _, decl := range file.Decls {
		constants, isConst := decl.(*ast.GenDecl)
		if !isConst || constants.Tok != token.CONST {
			continue
		}
		for _, spec := range constants.Specs {
			value := spec.(*ast.ValueSpec)
			name, isNamed := value.Type.(*ast.Ident)
			if !isNamed {
				continue
			}
			for _, expr := range value.Values {
				if text, ok := literal(expr); ok {
					out[prefix+name.Name] = append(out[prefix+name.Name], text)
				}
			}
		}
	}
}

func literal(expr ast.Expr) (string, bool) {
	lit, isLiteral := expr.(*ast.BasicLit)
	if !isLiteral || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}
