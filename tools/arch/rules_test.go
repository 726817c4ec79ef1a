package arch

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		documented[f.dir] = documented[f.dir] || (f.ast.Doc != nil && len(f.ast.Doc.Text()) > 40)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment of a sentence or more", dir)
		}
	}
}

// The ratchet: these figures may only go down (docs tell the aims).
const (
	maxFileLines     = 500
	maxFunctionLines = 160
	// maxLongShare is the share of functions over 100 lines, in thousandths.
	maxLongShare = 10
	maxMedian    = 130
	maxP90       = 360
)

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	var sizes []int
	functions, long := 0, 0
	for _, f := range sources(t) {
		sizes = append(sizes, f.lines)
		if f.lines > maxFileLines {
			t.Errorf("%s has %d lines, over %d: it says more than one thing", f.path, f.lines, maxFileLines)
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			functions++
			n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1
			if n > 100 {
				long++
			}
			if n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, over %d", f.path, fn.Name.Name, n, maxFunctionLines)
			}
		}
	}
	sort.Ints(sizes)
	median, p90 := sizes[len(sizes)/2], sizes[len(sizes)*9/10]
	t.Logf("%d files, median %d lines, p90 %d; %d functions, %d over 100 lines", len(sizes), median, p90, functions, long)
	if median > maxMedian || p90 > maxP90 {
		t.Errorf("files grow: median %d (at most %d), p90 %d (at most %d)", median, maxMedian, p90, maxP90)
	}
	if long*1000 > functions*maxLongShare {
		t.Errorf("%d of %d functions are over 100 lines: at most %d in 1000", long, functions, maxLongShare)
	}
}

// pure are files whose functions take the time as an argument.
var pure = regexp.MustCompile(`^internal/api/|/plan\.go$|/render[^/]*\.go$|^internal/scheduler/plugins/`)

func TestPureCodeReadsNoClock(t *testing.T) {
	clock := map[string]bool{"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "Tick": true, "NewTimer": true, "NewTicker": true, "AfterFunc": true}
	for _, f := range sources(t) {
		if !pure.MatchString(f.path) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && clock[sel.Sel.Name] {
				t.Errorf("%s: time.%s in a pure file: take the time as an argument", f.fset.Position(n.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

// early are files that must act before main, and why.
var early = map[string]string{
	"runtime/initstage/initstage.go": "the first stage of a container takes over before the other packages' init could cost it time",
}

func TestNoRegistrationAtInit(t *testing.T) {
	for _, f := range sources(t) {
		if early[f.path] != "" {
			continue
		}
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init: list constructors explicitly", f.fset.Position(fn.Pos()))
			}
		}
	}
}

// skewed are the k8s.io modules that are not versioned with Kubernetes.
var skewed = map[string]bool{"k8s.io/klog/v2": true, "k8s.io/kube-openapi": true, "k8s.io/utils": true, "k8s.io/gengo/v2": true}

func TestKubernetesLibrariesAreOfOneMinorVersion(t *testing.T) {
	for _, mod := range []string{"go.mod", "runtime/go.mod"} {
		text := read(t, filepath.Join("..", "..", mod))
		found := 0
		for _, m := range regexp.MustCompile(`(?m)^\s*(k8s\.io/\S+) (\S+)`).FindAllStringSubmatch(text, -1) {
			found++
			if !skewed[m[1]] && !strings.HasPrefix(m[2], "v0.36.") {
				t.Errorf("%s: %s is at %s: every k8s.io module stays at v0.36, the API that Knarr serves", mod, m[1], m[2])
			}
		}
		if found == 0 {
			t.Errorf("%s names no k8s.io module: the pattern is wrong", mod)
		}
	}
}

// documents are the paths of what people read.
func documents(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) < 10 {
		t.Fatalf("only %d documents found: %v", len(docs), err)
	}
	return append(docs, "../../README.md", "../../CONTRIBUTING.md", "../../SCOPE.md")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// link is `path` or `path.go:Symbol` in the documents.
var link = regexp.MustCompile("`((?:internal|runtime|cmd|tools|test|examples)/[A-Za-z0-9_./-]+?)(?::([A-Za-z0-9_]+))?`")

func TestDocumentsPointAtCodeThatExists(t *testing.T) {
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			checkLink(t, filepath.Base(doc), m[1], m[2])
		}
	}
}

// page is a link from one document to another, without its anchor.
var page = regexp.MustCompile(`\]\(([^):#]+)`)

func TestDocumentsLeadToEachOther(t *testing.T) {
	index := read(t, "../../docs/README.md")
	for _, doc := range documents(t) {
		for _, m := range page.FindAllStringSubmatch(read(t, doc), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s leads to %s, which does not exist", filepath.Base(doc), m[1])
			}
		}
		if name := filepath.Base(doc); !strings.Contains(index, name+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}

func checkLink(t *testing.T, doc, path, symbol string) {
	t.Helper()
	path = filepath.Join("..", "..", path)
	info, err := os.Stat(path)
	if err != nil {
		t.Errorf("%s points at %s, which does not exist", doc, path)
		return
	}
	if symbol == "" {
		return
	}
	if info.IsDir() {
		t.Errorf("%s names symbol %s of a folder: name the file", doc, symbol)
		return
	}
	if !regexp.MustCompile(`\b` + symbol + `\b`).MatchString(read(t, path)) {
		t.Errorf("%s points at %s in %s, which is not there", doc, symbol, path)
	}
}
