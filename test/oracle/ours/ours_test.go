package ours

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/test/oracle/outcome"
)

func kind(t *testing.T, apiVersion, name string) *api.Kind {
	t.Helper()
	k := catalog.New().Kind(schema.FromAPIVersionAndKind(apiVersion, name))
	if k == nil {
		t.Fatalf("the catalogue has no %s %s", apiVersion, name)
	}
	return k
}

// at is a field of an accepted object.
func at(t *testing.T, o outcome.Outcome, path string) any {
	t.Helper()
	if o.Object == nil {
		t.Fatalf("the write was refused: %+v", o)
	}
	value, _, err := unstructured.NestedFieldNoCopy(o.Object, strings.Split(path, ".")...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func refusedAt(o outcome.Outcome) []string {
	var out []string
	for _, c := range o.Causes {
		out = append(out, c.Field)
	}
	return out
}

const deployment = `{"metadata":{"name":"a","namespace":"default"},"spec":{"selector":{"matchLabels":{"a":"b"}},
	"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`

func TestCreate(t *testing.T) {
	k := kind(t, "apps/v1", "Deployment")
	made := Create(k, []byte(deployment), api.Stamp{})
	if got := at(t, made, "spec.replicas"); got != float64(1) {
		t.Errorf("the default of replicas is %v", got)
	}
	if got := at(t, made, "metadata.generation"); got != float64(1) {
		t.Errorf("the generation is %v", got)
	}
	refused := Create(k, []byte(strings.Replace(deployment, `"name":"c",`, "", 1)), api.Stamp{})
	if got := refusedAt(refused); !slices.Equal(got, []string{"spec.template.spec.containers[0].name"}) {
		t.Errorf("refused for %v", got)
	}
	if got := Create(k, []byte(`{"spec":[]}`), api.Stamp{}); got.Broken == "" {
		t.Errorf("what cannot be decoded: %+v", got)
	}
	tolerant := strings.Replace(deployment, `"containers"`, `"nodeSelector":{"beta.kubernetes.io/os":"linux"},"containers"`, 1)
	if got := Create(k, []byte(tolerant), api.Stamp{}); len(got.Warnings) != 1 {
		t.Errorf("warnings %q", got.Warnings)
	}
}

func TestUpdate(t *testing.T) {
	k := kind(t, "apps/v1", "Deployment")
	stored := strings.Replace(deployment, `"name":"a"`, `"name":"a","resourceVersion":"1","generation":1`, 1)
	scaled := strings.Replace(stored, `"spec":{`, `"status":{"replicas":7},"spec":{"replicas":3,`, 1)
	for name, tt := range map[string]struct {
		rules              *api.Rules
		generation, status any
	}{
		"the spec":   {&k.Main, float64(2), nil},
		"the status": {k.Status, float64(1), float64(7)},
	} {
		got := Update(k, tt.rules, []byte(scaled), []byte(stored), api.Stamp{})
		if at(t, got, "metadata.generation") != tt.generation || at(t, got, "status.replicas") != tt.status {
			t.Errorf("%s: %+v", name, got.Object)
		}
	}
	moved := strings.Replace(stored, `{"matchLabels":{"a":"b"}}`, `{"matchLabels":{"a":"b","c":"d"}}`, 1)
	if got := refusedAt(Update(k, &k.Main, []byte(moved), []byte(stored), api.Stamp{})); !slices.Contains(got, "spec.selector") {
		t.Errorf("another selector is refused for %v", got)
	}
	for _, texts := range [][2]string{{`{"spec":[]}`, stored}, {stored, `{"spec":[]}`}} {
		if got := Update(k, &k.Main, []byte(texts[0]), []byte(texts[1]), api.Stamp{}); got.Broken == "" {
			t.Errorf("what cannot be decoded: %+v", got)
		}
	}
}

func TestRules(t *testing.T) {
	k := kind(t, "v1", "Pod")
	for name, want := range map[string]*api.Rules{"": &k.Main, "status": k.Status, "none": nil} {
		if got := Rules(k, name); got != want {
			t.Errorf("rules of %q", name)
		}
	}
	if Rules(k, "resize") == nil {
		t.Error("pods have no rules for resize")
	}
}

// A kind that is kept in the form of another comes back as that form lets it.
func TestViewsComeBackFromTheStore(t *testing.T) {
	k := kind(t, "autoscaling/v1", "HorizontalPodAutoscaler")
	if !k.IsView() {
		t.Fatal("autoscaling/v1 is no view")
	}
	made := Create(k, []byte(`{"metadata":{"name":"a","namespace":"default"},"spec":{"maxReplicas":3,"targetCPUUtilizationPercentage":50,
		"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}}`), api.Stamp{})
	if got := at(t, made, "spec.targetCPUUtilizationPercentage"); got != float64(50) {
		t.Errorf("the target is %v", got)
	}
}
