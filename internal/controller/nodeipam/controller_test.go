package nodeipam

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// A node goes while its range is taken, and the write of the range fails: what
// nobody will have is free again.
func TestRangeOfANodeThatWentMeanwhile(t *testing.T) {
	nobody := client.New(nil, catalog.New())
	r, err := New(nobody, client.NewInformers(nobody, slog.New(slog.DiscardHandler)), netip.MustParsePrefix("10.0.0.0/24"), 24, nil, reconcile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.reserve("gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.reconcile(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.reserve("another"); err != nil {
		t.Errorf("the only range is not free: %v", err)
	}
}
