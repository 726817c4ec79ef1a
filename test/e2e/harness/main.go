package harness

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Main brings a cluster up, runs a package's tests, takes the cluster down,
// and holds the machine against what it was before. It returns the exit code,
// and says on standard error what was wrong. After a failure, or when it was
// interrupted, the cluster still goes; its folder stays after a failure.
func (c *Cluster) Main(m *testing.M, up func(context.Context) error) (code int) {
	fail := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "e2e: "+format+"\n", args...)
		code = max(code, 1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var ending sync.Mutex // whoever has it takes the cluster down
	go func() {           // an interrupted run cleans up, too
		<-ctx.Done()
		ending.Lock()
		_ = c.Close(context.Background())
		os.Exit(1)
	}()
	before, err := c.Footprint()
	if err != nil {
		fail("%v", err)
		return code
	}
	if err := up(ctx); err != nil {
		fail("%v", err)
	} else {
		code = m.Run()
	}
	ending.Lock()
	if out := c.Down(context.WithoutCancel(ctx), "--purge"); out.Err != nil {
		fail("down --purge: %s", out)
	}
	after, err := c.Footprint()
	if err != nil {
		fail("%v", err)
	}
	if left := after.Since(before); len(left) > 0 {
		fail("the machine is not as it was:\n%s", strings.Join(left, "\n"))
	}
	c.Machine.Close()
	if code == 0 {
		_ = os.RemoveAll(c.Dir)
	} else {
		fmt.Fprintf(os.Stderr, "e2e: what is left of the run lies in %s\n", c.Dir)
	}
	return code
}
