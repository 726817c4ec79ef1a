// Package corpus reads what mutation starts from: the manifests of the kinds'
// own scenarios, and the constants that k8s.io/api declares.
package corpus

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/api"
)

// Manifests reads every manifest of the scenarios below dir (internal/api),
// sorted by kind, as objects of the kinds' types. Namespaced ones stand in the
// namespace default. Manifests that do not decode are left out.
func Manifests(dir string, kinds []*api.Kind) (map[schema.GroupVersionKind][]api.Object, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "testdata", "*.txtar"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no scenarios below %s", dir)
	}
	byKind := map[schema.GroupVersionKind]*api.Kind{}
	for _, k := range kinds {
		byKind[k.GVK] = k
	}
	out := map[schema.GroupVersionKind][]api.Object{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			return nil, err
		}
		for _, f := range archive.Files {
			if !strings.HasSuffix(f.Name, ".yaml") {
				continue
			}
			if obj, gvk, err := decode(byKind, f.Data); err == nil && obj != nil {
				out[gvk] = append(out[gvk], obj)
			} // what does not decode tests decoding, which is not compared here
		}
	}
	return out, nil
}

func decode(kinds map[schema.GroupVersionKind]*api.Kind, manifest []byte) (api.Object, schema.GroupVersionKind, error) {
	text, err := yaml.YAMLToJSON(manifest)
	if err != nil {
		return nil, schema.GroupVersionKind{}, err
	}
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, schema.GroupVersionKind{}, err
	}
	gvk := schema.FromAPIVersionAndKind(head.APIVersion, head.Kind)
	k := kinds[gvk]
	if k == nil {
		return nil, gvk, nil
	}
	obj := k.New()
	if err := json.Unmarshal(text, obj); err != nil {
		return nil, gvk, err
	}
	if k.Namespaced {
		obj.SetNamespace("default")
	}
	return obj, gvk, nil
}
