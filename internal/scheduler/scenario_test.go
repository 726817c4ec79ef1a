package scheduler_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/knarr-io/knarr/internal/scheduler/plugins"
	"github.com/knarr-io/knarr/internal/testkit/scenario"
)

// TestScenarios plays the texts in testdata, one for each plugin, on a whole
// control plane: a pod that does not fit, what its event says, and the change
// that lets it in.
func TestScenarios(t *testing.T) { scenario.Walk(t, "testdata") }

func TestEveryPluginHasAScenario(t *testing.T) {
	for _, p := range plugins.Default(plugins.Sources{}) {
		if _, err := os.Stat(filepath.Join("testdata", p.Name())); err != nil {
			t.Errorf("%s has no scenario: %v", p.Name(), err)
		}
	}
}
