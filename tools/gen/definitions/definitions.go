// Package definitions obtains the OpenAPI schemas of the Go types that the
// API serves, by running kube-openapi's generator over k8s.io/api.
//
// The generator writes a Go function of some ten thousand lines. It is needed
// only while the documents are made, so it is built and run in a directory
// that is gone afterwards; what remains are its results.
package definitions

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

//go:embed dump.go.txt
var dumpProgram []byte

// Packages are those that hold the types of the API's bodies.
func Packages() []string {
	return []string{
		"k8s.io/api/admissionregistration/v1",
		"k8s.io/api/apps/v1",
		"k8s.io/api/authentication/v1",
		"k8s.io/api/authorization/v1",
		"k8s.io/api/autoscaling/v1",
		"k8s.io/api/autoscaling/v2",
		"k8s.io/api/batch/v1",
		"k8s.io/api/certificates/v1",
		"k8s.io/api/coordination/v1",
		"k8s.io/api/core/v1",
		"k8s.io/api/discovery/v1",
		"k8s.io/api/events/v1",
		"k8s.io/api/flowcontrol/v1",
		"k8s.io/api/networking/v1",
		"k8s.io/api/node/v1",
		"k8s.io/api/policy/v1",
		"k8s.io/api/rbac/v1",
		"k8s.io/api/resource/v1",
		"k8s.io/api/scheduling/v1",
		"k8s.io/api/storage/v1",
		"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1",
		"k8s.io/apimachinery/pkg/api/resource",
		"k8s.io/apimachinery/pkg/apis/meta/v1",
		"k8s.io/apimachinery/pkg/runtime",
		"k8s.io/apimachinery/pkg/util/intstr",
		"k8s.io/apimachinery/pkg/version",
		"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1",
		"k8s.io/metrics/pkg/apis/metrics/v1beta1",
	}
}

// Load generates the definitions, by model name. References among them start
// with the prefix of OpenAPI v3. moduleDir is the root of the module whose
// go.mod fixes the versions.
func Load(ctx context.Context, moduleDir string) (map[string]common.OpenAPIDefinition, error) {
	dir, err := os.MkdirTemp(filepath.Join(moduleDir, "tools", "gen"), "tmp-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for generated code: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := generate(ctx, moduleDir, dir); err != nil {
		return nil, err
	}
	out, err := run(ctx, moduleDir, "go", "run", "./"+filepath.Join("tools", "gen", filepath.Base(dir)))
	if err != nil {
		return nil, err
	}
	return decode(out)
}

func generate(ctx context.Context, moduleDir, dir string) error {
	header := filepath.Join(dir, "header.txt")
	for path, content := range map[string][]byte{header: nil, filepath.Join(dir, "main.go"): dumpProgram} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	args := []string{
		"tool", "openapi-gen",
		"--output-dir", dir, "--output-pkg", "main", "--output-file", "definitions.go",
		"--go-header-file", header, "--report-filename", filepath.Join(dir, "report.txt"),
	}
	_, err := run(ctx, moduleDir, "go", append(args, Packages()...)...)
	return err
}

func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, args[0], err, stderr.Bytes())
	}
	return out, nil
}

func decode(data []byte) (map[string]common.OpenAPIDefinition, error) {
	var out map[string]common.OpenAPIDefinition
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("reading the definitions: %w", err)
	}
	for name, d := range out {
		v2, ok := d.Schema.Extensions[common.ExtensionV2Schema]
		if !ok {
			continue
		}
		s, err := toSchema(v2)
		if err != nil {
			return nil, fmt.Errorf("v2 schema of %s: %w", name, err)
		}
		d.Schema.Extensions[common.ExtensionV2Schema] = s
	}
	return out, nil
}

// toSchema gives a schema back its type, which it lost on its way through
// JSON: the builder looks for it.
func toSchema(v any) (spec.Schema, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return spec.Schema{}, err
	}
	var s spec.Schema
	return s, json.Unmarshal(raw, &s)
}
