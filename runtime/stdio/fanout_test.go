package stdio

import (
	"bytes"
	"errors"
	"testing"

	"github.com/knarr-io/knarr/runtime/logs"
)

func TestClientsGetEverythingFromTheirAttachOn(t *testing.T) {
	var f Fanout
	out, err := f.tap(logs.Stdout), f.tap(logs.Stderr)
	out([]byte("before"))
	a, b := f.Attach(), f.Attach()
	out([]byte("one "))
	err([]byte("error "))
	b.Detach()
	b.Detach()
	out([]byte("two"))
	f.Close()
	out([]byte("after"))
	for name, tc := range map[string]struct {
		c         *Client
		out, errs string
	}{"attached": {a, "one two", "error "}, "detached": {b, "one ", "error "}, "late": {f.Attach(), "", ""}} {
		var o, e bytes.Buffer
		if cerr := tc.c.Copy(&o, &e); cerr != nil || o.String() != tc.out || e.String() != tc.errs {
			t.Errorf("%s: %q %q %v", name, o.String(), e.String(), cerr)
		}
	}
}

// It is told so: the container has not ended.
func TestSlowClientIsCutOff(t *testing.T) {
	var f Fanout
	slow := f.Attach()
	out := f.tap(logs.Stdout)
	for range fanoutBuffer + 10 {
		out([]byte("x")) // must not block
	}
	var got bytes.Buffer
	if err := slow.Copy(&got, nil); !errors.Is(err, errSlow) || got.Len() != fanoutBuffer {
		t.Errorf("%d pieces, %v", got.Len(), err)
	}
}
