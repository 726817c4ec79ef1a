package remedy

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestTheNearestRemedyCounts(t *testing.T) {
	cause := fmt.Errorf("open it: %w", fs.ErrPermission)
	err := For(For(cause, "use %s", "sudo"), "look into the log")
	if got, want := err.Error(), "open it: permission denied\n    what to do: use sudo"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Error("the cause is lost")
	}
	wrapped := fmt.Errorf("up: %w", New("no disk", "buy one"))
	if got := Of(For(wrapped, "look into the log")); got != "buy one" {
		t.Errorf("got %q", got)
	}
	if For(nil, "anything") != nil || Of(cause) != "" {
		t.Error("nothing is to be done about nothing")
	}
}
