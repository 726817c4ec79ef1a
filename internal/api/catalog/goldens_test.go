package catalog

import (
	"path/filepath"
	"testing"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/kindtest"
)

// TestEveryKindHasGoldens holds the scenarios of the groups against the
// catalogue: a kind, or a field, without them is not finished.
func TestEveryKindHasGoldens(t *testing.T) {
	kinds := New().Kinds()
	folders, err := filepath.Glob("../*/testdata")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	all := map[*api.Kind]*kindtest.Coverage{}
	for _, folder := range folders {
		of, err := kindtest.Covered(filepath.Dir(folder), kinds)
		if err != nil {
			t.Fatalf("%s: %v", folder, err)
		}
		for k, c := range of {
			all[k] = c
		}
	}
	for _, k := range kinds {
		if k.Virtual || k.Custom != nil || !k.HasVerb("create") {
			continue // never written
		}
		for _, what := range all[k].Lacks(k, refusedFields(k)...) {
			t.Errorf("%s: no scenario shows %s", k.GVK, what)
		}
	}
}

// refusedFields are those that no accepted write of the object sets: fields of
// features that are off by default, that went, or that have an endpoint of
// their own.
func refusedFields(k *api.Kind) []string {
	return map[string][]string{
		"Node":      {"configSource"},
		"Pod":       {"ephemeralContainers", "schedulingGroup"},
		"CSIDriver": {"preventPodSchedulingIfMissing"},
		"Event":     {"deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount"},
	}[k.GVK.Kind]
}
