package docs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

func TestPageIsCurrent(t *testing.T) {
	got, err := os.ReadFile(filepath.Join("..", "..", "..", Path))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(Render(catalog.New())), string(got)); diff != "" {
		t.Errorf("run make generate (-want +got):\n%s", diff)
	}
}
