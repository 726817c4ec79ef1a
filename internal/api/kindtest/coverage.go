package kindtest

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/api"
)

// Refusals is how many refused writes the goldens of a kind show at least.
const Refusals = 2

// Coverage is what the scenarios of a folder show of one kind.
type Coverage struct {
	// Creates, Updates and Statuses count the writes that are accepted,
	// Refused those that are not.
	Creates, Updates, Statuses, Refused int
	// Fields are those below spec, or those of the object where it has no
	// spec, that an accepted write sets.
	Fields map[string]bool
}

// Covered reads what the scenarios of testdata in a folder show of each kind.
func Covered(folder string, kinds []*api.Kind) (map[*api.Kind]*Coverage, error) {
	files, err := filepath.Glob(filepath.Join(folder, "testdata", "*.txtar"))
	if err != nil {
		return nil, err
	}
	out := map[*api.Kind]*Coverage{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		archive := txtar.Parse(data)
		for _, s := range scenarios(archive) {
			k, _, err := decode(kinds, s.fresh)
			if err != nil {
				return nil, err
			}
			if out[k] == nil {
				out[k] = &Coverage{Fields: map[string]bool{}}
			}
			if s.want >= 0 {
				out[k].count(s, string(archive.Files[s.want].Data))
			}
		}
	}
	return out, nil
}

func (c *Coverage) count(s *scenario, want string) {
	switch {
	case strings.HasPrefix(want, "error:"):
		c.Refused++
		return
	case s.old == nil:
		c.Creates++
	case s.subresource == "status":
		c.Statuses++
	case s.subresource == "":
		c.Updates++
	}
	var written map[string]any
	if yaml.Unmarshal(s.fresh, &written) != nil {
		return // the scenario's own run tells
	}
	if spec, has := written["spec"].(map[string]any); has {
		written = spec
	}
	for name := range written {
		c.Fields[name] = true
	}
}

// Lacks tells what the scenarios do not show that those of every kind must:
// a small and a full object, which set every field of the spec between them, a
// change, a write of the status, refusals. without are fields that no accepted
// write can set.
func (c *Coverage) Lacks(k *api.Kind, without ...string) (out []string) {
	if c == nil {
		return []string{"everything"}
	}
	if c.Creates < 2 {
		out = append(out, "two creates, one with the least and one with everything")
	}
	if k.HasVerb("update") && c.Updates < 1 {
		out = append(out, "an update")
	}
	if k.Status != nil && c.Statuses < 1 {
		out = append(out, "a write of the status")
	}
	if c.Refused < Refusals {
		out = append(out, "several refusals")
	}
	for _, name := range specFields(k) {
		if !c.Fields[name] && !slices.Contains(without, name) {
			out = append(out, "the field "+name)
		}
	}
	return out
}

// specFields are the names of the fields that a client writes.
func specFields(k *api.Kind) (out []string) {
	of := reflect.TypeOf(k.New()).Elem()
	if spec, has := of.FieldByName("Spec"); has && spec.Type.Kind() == reflect.Struct {
		of = spec.Type
	}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "metadata" && name != "status" {
			out = append(out, name)
		}
	}
	return out
}
