package stream

import (
	"testing"
	"testing/synctest"
)

// Who attaches without a terminal leaves nothing behind that waits for its sizes.
func TestNoTerminalHasNoSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for s := range convert(t.Context(), nil) {
			t.Errorf("a size %v", s)
		}
	})
}
