package inputs

import (
	"path/filepath"
	"testing"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Digest(root, catalog.New())
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapi.New()
	if err != nil {
		t.Fatal(err)
	}
	if d.Inputs() != want {
		t.Error("the OpenAPI documents are older than the catalogue, the generator or the modules: run make generate")
	}
}
