package upstream

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/test/oracle/outcome"
)

func serving(t *testing.T, apiVersion, kind string) (*Server, Request) {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	at := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.GVK == gvk })
	if at < 0 {
		t.Fatalf("no strategy for %s", gvk)
	}
	return &Server{Scheme: scheme, User: &user.DefaultInfo{Name: "jane"}}, Request{Kind: Kinds()[at], Namespaced: true}
}

func refusedAt(o outcome.Outcome) []string {
	var out []string
	for _, c := range o.Causes {
		out = append(out, c.Field)
	}
	return out
}

func spec(o outcome.Outcome) map[string]any {
	out, _ := o.Object["spec"].(map[string]any)
	return out
}

const sleeper = `{"metadata":{"name":"a","namespace":"default","uid":"u","creationTimestamp":"2026-01-02T03:04:05Z"},
	"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}`

func TestCreate(t *testing.T) {
	s, r := serving(t, "batch/v1", "Job")
	r.Verb = "create"
	made := s.Create(r, []byte(sleeper))
	if spec(made)["backoffLimit"] != float64(6) {
		t.Errorf("a job without its default: %+v", made)
	}
	always := s.Create(r, []byte(strings.Replace(sleeper, "Never", "Always", 1)))
	if got := refusedAt(always); !slices.Equal(got, []string{"spec.template.spec.restartPolicy"}) {
		t.Errorf("refused for %v: %+v", got, always)
	}
	if got := s.Create(r, []byte(`{"spec":[]}`)); got.Broken == "" {
		t.Errorf("what cannot be decoded: %+v", got)
	}
	warned := s.Create(r, []byte(strings.Replace(sleeper, `"containers"`, `"nodeSelector":{"beta.kubernetes.io/os":"linux"},"containers"`, 1)))
	if len(warned.Warnings) != 1 {
		t.Errorf("warnings %q", warned.Warnings)
	}
}

func TestUpdate(t *testing.T) {
	s, r := serving(t, "v1", "ConfigMap")
	r.Verb = "update"
	const stored = `{"metadata":{"name":"a","namespace":"default","resourceVersion":"1","uid":"u"},"data":{"k":"v"},"immutable":true}`
	if got := s.Update(r, r.Kind.Main, []byte(stored), []byte(stored)); got.Object == nil {
		t.Errorf("no change: %+v", got)
	}
	changed := strings.Replace(stored, `"v"`, `"w"`, 1)
	if got := refusedAt(s.Update(r, r.Kind.Main, []byte(changed), []byte(stored))); !slices.Equal(got, []string{"data"}) {
		t.Errorf("refused for %v", got)
	}
	for _, texts := range [][2]string{{`{"data":[]}`, stored}, {stored, `{"data":[]}`}} {
		if got := s.Update(r, r.Kind.Main, []byte(texts[0]), []byte(texts[1])); got.Broken == "" {
			t.Errorf("what cannot be decoded: %+v", got)
		}
	}
}

// Empty and absent are one in protobuf, and so in upstream's store.
func TestWhatTheStoreForgets(t *testing.T) {
	s, r := serving(t, "v1", "ConfigMap")
	r.Verb = "create"
	made := s.Create(r, []byte(`{"metadata":{"name":"a","namespace":"default","uid":"u","creationTimestamp":"2026-01-02T03:04:05Z"},"data":{}}`))
	if made.Object == nil || made.Object["data"] != nil {
		t.Errorf("%+v", made)
	}
}

// Every kind of the list is one of the catalogue's, with strategies for what
// is below it, and is there once.
func TestKinds(t *testing.T) {
	kinds, seen := catalog.New(), map[schema.GroupVersionKind]bool{}
	for _, k := range Kinds() {
		switch {
		case kinds.Kind(k.GVK) == nil:
			t.Errorf("the catalogue has no %s", k.GVK)
		case seen[k.GVK]:
			t.Errorf("%s stands twice", k.GVK)
		case k.Main == nil:
			t.Errorf("%s has no strategy", k.GVK)
		}
		seen[k.GVK] = true
		for name, strategy := range k.Subresources {
			if strategy == nil {
				t.Errorf("%s has no strategy for %s", k.GVK, name)
			}
		}
	}
}
