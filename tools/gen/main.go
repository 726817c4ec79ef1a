// Command gen writes the generated files of the repository: the OpenAPI
// documents and merge types of internal/apiserver/openapi/data, and the page
// of the API. Run it from
// the root of the module, as make generate does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/metrics"
	"github.com/knarr-io/knarr/tools/gen/definitions"
	"github.com/knarr-io/knarr/tools/gen/docs"
	"github.com/knarr-io/knarr/tools/gen/inputs"
	"github.com/knarr-io/knarr/tools/gen/openapi"
)

func main() {
	root := flag.String("root", ".", "the root of the module")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := generate(ctx, *root); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		stop()
		os.Exit(1)
	}
}

func generate(ctx context.Context, root string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	defs, err := definitions.Load(ctx, root)
	if err != nil {
		return err
	}
	c := catalog.New()
	version, err := inputs.KubernetesVersion(root)
	if err != nil {
		return err
	}
	digest, err := inputs.Digest(root, c)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, docs.Path), docs.Render(c), 0o644); err != nil {
		return fmt.Errorf("writing the page of the API: %w", err)
	}
	metrics, err := catalog.Of(metrics.Kinds())
	if err != nil {
		return err
	}
	data := filepath.Join(root, "internal", "apiserver", "openapi", "data")
	if err := openapi.New(c, defs, version).Write(data, digest); err != nil {
		return err
	}
	return openapi.New(metrics, defs, version).WriteAside(data, "metrics", "apis/metrics.k8s.io/v1beta1")
}
