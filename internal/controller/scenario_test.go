package controller_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/knarr-io/knarr/internal/testkit/scenario"
)

// TestScenarios plays the texts in testdata, a folder for each controller, on
// a whole control plane. Controllers whose plans go through many steps have
// scenarios of the plan alone, in their own testdata.
func TestScenarios(t *testing.T) { scenario.Walk(t, "testdata") }

func TestEveryControllerHasScenarios(t *testing.T) {
	folders, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range folders {
		name := filepath.Dir(file)
		if seen[name] {
			continue
		}
		seen[name] = true
		if !isFolder(filepath.Join("testdata", name)) && !isFolder(filepath.Join(name, "testdata")) {
			t.Errorf("%s has no scenarios: add them below testdata/%s", name, name)
		}
	}
	if len(seen) == 0 {
		t.Error("no controllers found")
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
