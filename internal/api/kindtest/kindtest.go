// Package kindtest runs text scenarios against the declarations of kinds: a
// manifest in, and out what the kind makes of it.
//
// A scenario file is a txtar archive. Each scenario is a group of files with
// the same first path element: new.yaml, for an update also old.yaml, and
// want, which the test compares and -rewrite writes anew. An old object goes
// through a create first. A new.yaml that stands in status/ or in the folder of
// another subresource is written through it. want holds the field errors in the
// server's order, or else the warnings, whether the generation rises, the cells
// of the object's row in a table, and the object. Errors that show a whole
// object are cut. Everything happens at one fixed time, and a fixed user asks.
package kindtest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// Run runs every scenario of testdata/*.txtar against the given kinds.
func Run(t *testing.T, rewrite bool, kinds []*api.Kind) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runFile(t, file, rewrite, kinds) })
	}
}

// RewriteFlag registers the flag by which a test writes what it got into its
// scenarios. Call it from a variable of the test package.
func RewriteFlag() *bool {
	return flag.Bool("rewrite", false, "write the results into the scenario files")
}

func runFile(t *testing.T, file string, rewrite bool, kinds []*api.Kind) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios(archive) {
		t.Run(s.name, func(t *testing.T) {
			got, err := s.play(kinds)
			if err != nil {
				t.Fatal(err)
			}
			if rewrite {
				s.rewrite(archive, got)
				return
			}
			if s.want < 0 {
				t.Fatal("no want: run with -rewrite and read what it writes")
			}
			if diff := cmp.Diff(string(archive.Files[s.want].Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if rewrite {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type scenario struct {
	name       string
	fresh, old []byte
	// subresource is where an update goes; empty for the object itself.
	subresource string
	last, want  int // positions in the archive; want is -1 where there is none
}

func scenarios(a *txtar.Archive) []*scenario {
	var out []*scenario
	byName := map[string]*scenario{}
	for i, f := range a.Files {
		name, part, _ := strings.Cut(f.Name, "/")
		s := byName[name]
		if s == nil {
			s = &scenario{name: name, want: -1}
			byName[name] = s
			out = append(out, s)
		}
		s.last = i
		switch part {
		case "new.yaml":
			s.fresh = f.Data
		case "old.yaml":
			s.old = f.Data
		case "want":
			s.want = i
		default:
			if sub, isNew := strings.CutSuffix(part, "/new.yaml"); isNew {
				s.fresh, s.subresource = f.Data, sub
			}
		}
	}
	return out
}

func (s *scenario) rewrite(a *txtar.Archive, got string) {
	if s.want >= 0 {
		a.Files[s.want].Data = []byte(got)
		return
	}
	a.Files = append(a.Files, txtar.File{Name: s.name + "/want", Data: []byte(got)})
}

func (s *scenario) play(kinds []*api.Kind) (string, error) {
	k, obj, err := decode(kinds, s.fresh)
	if err != nil {
		return "", err
	}
	if s.old == nil {
		warnings := create(&k.Main, obj)
		return outcome(k, &k.Main, obj, nil, warnings, validate.Create(k, obj).ToAggregate())
	}
	rules, err := rulesOf(k, s.subresource)
	if err != nil {
		return "", err
	}
	_, old, err := decode(kinds, s.old)
	if err != nil {
		return "", err
	}
	keep := old.DeepCopyObject().(api.Object)
	create(&k.Main, old)
	if s.subresource != "" { // the status of the stored object was written before
		old = keep
		if k.Main.Default != nil {
			k.Main.Default(old)
		}
	}
	old.SetResourceVersion("1")
	obj.SetResourceVersion("1")
	if rules.Default != nil {
		rules.Default(obj)
	}
	if rules.PrepareUpdate != nil {
		rules.PrepareUpdate(obj, old)
	}
	var warnings []string
	if rules.Stamp != nil {
		rules.Stamp(obj, old, stamp(&warnings))
	}
	return outcome(k, rules, obj, old, warnings, validate.Update(rules, obj, old).ToAggregate())
}

func rulesOf(k *api.Kind, subresource string) (*api.Rules, error) {
	if subresource == "" {
		return &k.Main, nil
	}
	if subresource == "status" && k.Status != nil {
		return k.Status, nil
	}
	for i := range k.Subresources {
		if k.Subresources[i].Name == subresource && k.Subresources[i].Rules != nil {
			return k.Subresources[i].Rules, nil
		}
	}
	return nil, fmt.Errorf("%s has no rules for %q", k.GVK.Kind, subresource)
}

// now is the time of all scenarios.
func now() metav1.Time { return metav1.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// stamp is the request that all scenarios are part of.
func stamp(warnings *[]string) api.Stamp {
	return api.Stamp{
		Now:  now(),
		Warn: func(text string) { *warnings = append(*warnings, text) },
		User: &user.DefaultInfo{Name: "jane", UID: "42", Groups: []string{"dev"}, Extra: map[string][]string{"from": {"here"}}},
	}
}

func create(rules *api.Rules, obj api.Object) (warnings []string) {
	if rules.Default != nil {
		rules.Default(obj)
	}
	if rules.PrepareCreate != nil {
		rules.PrepareCreate(obj)
	}
	if rules.Stamp != nil {
		rules.Stamp(obj, nil, stamp(&warnings))
	}
	return warnings
}

func outcome(k *api.Kind, rules *api.Rules, obj, old api.Object, warnings []string, refused interface{ Errors() []error }) (string, error) {
	var b bytes.Buffer
	if refused != nil {
		for _, err := range refused.Errors() {
			fmt.Fprintln(&b, "error:", shorten(err.Error()))
		}
		return b.String(), nil
	}
	if rules.Warn != nil {
		warnings = append(warnings, rules.Warn(obj, old)...)
	}
	for _, w := range warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	if old != nil && rules.Generation != nil {
		fmt.Fprintln(&b, "generation rises:", rules.Generation(obj, old))
	}
	if k.Row != nil {
		cells, err := json.Marshal(k.Row(obj, now().Time))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "row: %s\n", cells)
	}
	obj.SetResourceVersion("")
	text, err := yaml.Marshal(obj)
	b.Write(text)
	return b.String(), err
}

// shorten cuts texts that show a whole object.
func shorten(text string) string {
	const most = 600
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

func decode(kinds []*api.Kind, manifest []byte) (*api.Kind, api.Object, error) {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(manifest, &head); err != nil {
		return nil, nil, err
	}
	for _, k := range kinds {
		if k.GVK == schema.FromAPIVersionAndKind(head.APIVersion, head.Kind) {
			obj := k.New()
			err := yaml.UnmarshalStrict(manifest, obj)
			if k.Namespaced && obj.GetNamespace() == "" {
				obj.SetNamespace("default")
			}
			return k, obj, err
		}
	}
	return nil, nil, fmt.Errorf("%s %s is not among the kinds", head.APIVersion, head.Kind)
}
