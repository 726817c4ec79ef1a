// Package inputs computes what generated files depend on, as one digest. A
// test compares it with the digest that the generator left, so that a stale
// file is noticed without generating it anew.
package inputs

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

// Digest covers the versions of the modules that the documents come from, the
// names of everything that the catalogue serves, and the generator itself.
func Digest(root string, c *catalog.Catalog) (string, error) {
	h := sha256.New()
	versions, err := modules(root)
	if err != nil {
		return "", err
	}
	for _, path := range sources() {
		fmt.Fprintln(h, path, versions[path])
	}
	enc := json.NewEncoder(h)
	for _, k := range c.Kinds() {
		if err := enc.Encode([]any{k.GVK, k.Resource, k.Singular, k.Namespaced, k.Verbs, k.Status != nil}); err != nil {
			return "", err
		}
		for _, s := range k.Subresources {
			if err := enc.Encode([]any{s.Name, s.GVK, s.Verbs}); err != nil {
				return "", err
			}
		}
	}
	if err := program(root, func(name string, content []byte) { fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(content)) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// sources are the modules that decide what the documents say.
func sources() []string {
	return []string{"k8s.io/api", "k8s.io/apiextensions-apiserver", "k8s.io/apimachinery", "k8s.io/apiserver", "k8s.io/kube-aggregator", "k8s.io/kube-openapi", "k8s.io/metrics"}
}

// KubernetesVersion is the version of the API types, as a server of that
// version would say it.
func KubernetesVersion(root string) (string, error) {
	versions, err := modules(root)
	if err != nil {
		return "", err
	}
	minor, ok := strings.CutPrefix(versions["k8s.io/api"], "v0.")
	if !ok {
		return "", fmt.Errorf("go.mod has k8s.io/api at %q: expected v0.x", versions["k8s.io/api"])
	}
	return "v1." + minor, nil
}

func modules(root string) (map[string]string, error) {
	path := filepath.Join(root, "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := modfile.Parse(path, data, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, r := range file.Require {
		out[r.Mod.Path] = r.Mod.Version
	}
	return out, nil
}

// program calls fn with every source file of the generator, in order: its own
// folder, and what it shares with the server.
func program(root string, fn func(name string, content []byte)) error {
	for _, dir := range []string{"tools/gen", "internal/apiserver/openapi/operation", "internal/apiserver/openapi/types"} {
		if err := eachSource(filepath.Join(root, filepath.FromSlash(dir)), fn); err != nil {
			return err
		}
	}
	return nil
}

func eachSource(dir string, fn func(name string, content []byte)) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), "tmp-"):
			return filepath.SkipDir
		case d.IsDir() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			fn(filepath.ToSlash(name), content)
		}
		return err
	})
}
