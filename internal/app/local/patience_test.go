package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What gets on may take as long as it needs; what stands still is given up.
func TestPatienceCountsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatience(t.Context(), standstill)
		defer p.stop()
		for step := range 10 {
			time.Sleep(standstill - time.Second)
			p.news(fmt.Sprintf("step %d", step))
		}
		if p.Err() != nil {
			t.Errorf("ended although it got on: %v", context.Cause(p))
		}
		began := time.Now()
		time.Sleep(standstill / 2)
		p.news("step 9") // no news any more
		<-p.Done()
		if waited := time.Since(began); waited != standstill {
			t.Errorf("gave up after %s, want %s", waited, standstill)
		}
		if got := context.Cause(p).Error(); got != "nothing has changed for 1m30s" {
			t.Errorf("got %q", got)
		}
	})
}

func TestWhyAWaitWasInVain(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("nothing has changed for 1m30s"))
	for _, tc := range []struct {
		last error
		want string
	}{
		{nil, "nothing has changed for 1m30s"},
		{fmt.Errorf("ask: %w", context.Canceled), "nothing has changed for 1m30s"},
		{errors.New("connection refused"), "connection refused (nothing has changed for 1m30s)"},
	} {
		if got := unanswered(ctx, tc.last).Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestLastWordsOfALongLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	text := "knarr: an old end\n" + strings.Repeat("level=INFO msg=noise\n", 2000) + "knarr: the end\n    what to do: this\nlevel=INFO msg=again\n    no part of it\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := lastWords(path); err != nil || got != "the end\n    what to do: this" {
		t.Errorf("got %q, %v", got, err)
	}
}
