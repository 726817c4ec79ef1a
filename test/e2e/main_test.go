package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// cluster is the one that all tests share.
var cluster *harness.Cluster

func TestMain(m *testing.M) {
	knarr := flag.String("knarr", "", "path of the program under test")
	images := flag.String("images", "", "folder of image archives, as `make images` builds them")
	// The tests wait for the cluster rather than work: more of them at a time
	// than processors.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(run(m, *knarr, *images))
}

// run brings the cluster up, runs the tests, and holds the machine against
// what it was before.
func run(m *testing.M, knarr, images string) (code int) {
	fail := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "e2e: "+format+"\n", args...)
		code = max(code, 1)
	}
	if os.Geteuid() != 0 || knarr == "" || images == "" {
		fail("the end-to-end tests need root, -knarr and -images: `sudo make e2e` gives all three")
		return code
	}
	c, err := harness.New(knarr, images)
	if err != nil {
		fail("%v", err)
		return code
	}
	cluster = c
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
	start := time.Now()
	if out := c.Up(ctx); out.Err != nil {
		fail("the cluster does not come up: %s", out)
	} else if err := c.Import(ctx); err != nil {
		fail("%v", err)
	} else {
		fmt.Printf("e2e: a cluster in %s, up with its images after %s\n", c.Dir, time.Since(start).Round(time.Millisecond))
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
