package limits

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryLimitIsToldAndTested holds docs/limits.md against the constants and
// the tests that there are.
func TestEveryLimitIsToldAndTested(t *testing.T) {
	const root = "../../.."
	data, err := os.ReadFile(filepath.Join(root, "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	told, tests := map[string]bool{}, testsBelow(t, filepath.Join(root, "internal", "apiserver"))
	name := regexp.MustCompile("`([A-Za-z]+)`")
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.Contains(cells[1], "---") || strings.TrimSpace(cells[4]) == "test" {
			continue
		}
		for _, m := range name.FindAllStringSubmatch(cells[1], -1) {
			told[m[1]] = true
		}
		by := name.FindAllStringSubmatch(cells[4], -1)
		if len(by) == 0 {
			t.Errorf("no test meets %s", cells[1])
		}
		for _, m := range by {
			if !tests[m[1]] {
				t.Errorf("%s: there is no %s", cells[1], m[1])
			}
		}
	}
	for _, limit := range constants(t) {
		if !told[limit] && limit != "Shutdown" { // a promise to clients, no bound on them
			t.Errorf("docs/limits.md does not tell of %s", limit)
		}
	}
}

func constants(t *testing.T) (out []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "limits.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		group, isGroup := decl.(*ast.GenDecl)
		if !isGroup || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			for _, ident := range spec.(*ast.ValueSpec).Names {
				out = append(out, ident.Name)
			}
		}
	}
	return out
}

func testsBelow(t *testing.T, folder string) map[string]bool {
	out := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(data, -1) {
			out[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
