package autoscaler

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/reconcile"
)

// An autoscaler that is deleted and made again before anybody looked begins
// anew: what another one of its name recommended steadies nothing.
func TestHistoryIsOfOneAutoscaler(t *testing.T) {
	key := reconcile.Key{Namespace: "n", Name: "web"}
	r := &Controller{past: map[reconcile.Key]memory{key: {of: types.UID("first"), past: history{}.recommends(9, epoch)}}}
	if past := r.known(key, "first"); len(past.recommended) != 1 {
		t.Errorf("the same one knows %v", past)
	}
	if past := r.known(key, "second"); len(past.recommended) != 0 {
		t.Errorf("the one after it knows %v", past)
	}
}
