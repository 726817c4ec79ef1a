package verb

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/store"
)

// A full disk is told at once: client libraries retry for long what asks for
// another try.
func TestFullDiskIsToldWithoutAskingForARetry(t *testing.T) {
	err := storeError(fmt.Errorf("40 MiB are free: %w", store.ErrNoSpace), nil, "x")
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("%T %v is no status", err, err)
	}
	if s := status.Status(); s.Code != http.StatusInsufficientStorage || !strings.Contains(s.Message, "reads go on") {
		t.Errorf("status %+v", s)
	}
	if seconds, asked := apierrors.SuggestsClientDelay(err); asked {
		t.Errorf("it asks for another try after %d s", seconds)
	}
}
