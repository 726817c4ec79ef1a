package corpus

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

func TestManifests(t *testing.T) {
	dir := t.TempDir()
	scenarios := filepath.Join(dir, "core", "testdata")
	if err := os.MkdirAll(scenarios, 0o755); err != nil {
		t.Fatal(err)
	}
	const archive = `# a comment
-- map.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: elsewhere}
data: {k: v}
-- node.yaml --
apiVersion: v1
kind: Node
metadata: {name: one}
-- unknown.yaml --
apiVersion: example.com/v1
kind: Widget
-- wrong.yaml --
apiVersion: v1
kind: ConfigMap
data: [1]
-- broken.yaml --
{
-- want.txt --
apiVersion: v1
kind: ConfigMap
`
	if err := os.WriteFile(filepath.Join(scenarios, "one.txtar"), []byte(archive), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Manifests(dir, catalog.New().Kinds())
	if err != nil {
		t.Fatal(err)
	}
	maps, nodes := got[corev1.SchemeGroupVersion.WithKind("ConfigMap")], got[corev1.SchemeGroupVersion.WithKind("Node")]
	if len(got) != 2 || len(maps) != 1 || len(nodes) != 1 {
		t.Fatalf("%d kinds, %d maps, %d nodes", len(got), len(maps), len(nodes))
	}
	if cm := maps[0].(*corev1.ConfigMap); cm.Namespace != "default" || cm.Data["k"] != "v" {
		t.Errorf("%+v", cm)
	}
	if n := nodes[0]; n.GetNamespace() != "" {
		t.Errorf("a node in the namespace %q", n.GetNamespace())
	}
}

func TestAFolderWithoutScenariosIsAMistake(t *testing.T) {
	if _, err := Manifests(t.TempDir(), catalog.New().Kinds()); err == nil {
		t.Error("an empty folder was taken")
	}
}

// The kinds' own scenarios are there, and give what campaigns start from.
func TestScenariosOfTheCatalogue(t *testing.T) {
	got, err := Manifests("../../../internal/api", catalog.New().Kinds())
	if err != nil {
		t.Fatal(err)
	}
	if len(got[appsv1.SchemeGroupVersion.WithKind("Deployment")]) < 2 || len(got) < 40 {
		t.Errorf("manifests of %d kinds", len(got))
	}
}

func TestConstants(t *testing.T) {
	got, err := Constants()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"k8s.io/api/core/v1.RestartPolicy":          "OnFailure",
		"k8s.io/api/apps/v1.DeploymentStrategyType": "RollingUpdate",
	} {
		if !slices.Contains(got[name], want) {
			t.Errorf("%s has %q, not %s", name, got[name], want)
		}
	}
}
