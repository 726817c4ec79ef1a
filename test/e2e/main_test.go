package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
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
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(run(m, *knarr, *images))
}

// run runs the tests with a cluster that has all images.
func run(m *testing.M, knarr, images string) int {
	if os.Geteuid() != 0 || knarr == "" || images == "" {
		fmt.Fprintln(os.Stderr, "e2e: the end-to-end tests need root, -knarr and -images: `sudo make e2e` gives all three")
		return 1
	}
	c, err := harness.New(knarr, images)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	cluster = c
	return c.Main(m, func(ctx context.Context) error {
		start := time.Now()
		if out := c.Up(ctx); out.Err != nil {
			return fmt.Errorf("the cluster does not come up: %s", out)
		}
		if err := c.Import(ctx); err != nil {
			return err
		}
		fmt.Printf("e2e: a cluster in %s, up with its images after %s\n", c.Dir, time.Since(start).Round(time.Millisecond))
		return nil
	})
}
