package scheduler_test

import (
	"testing"

	"github.com/knarr-io/knarr/internal/testkit/scenario"
)

// TestScenarios plays the texts in testdata, one for each plugin, on a whole
// control plane: a pod that does not fit, what its event says, and the change
// that lets it in.
func TestScenarios(t *testing.T) { scenario.Walk(t, "testdata") }
