package ecosystem

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

var (
	// cluster is the one that all tests share, results what they found.
	cluster *harness.Cluster
	results ledger
)

func TestMain(m *testing.M) {
	knarr := flag.String("knarr", "", "path of the program under test")
	images := flag.String("images", "", "folder of image archives, as `make ecosystem-images` builds them")
	page := flag.String("ledger", "", "file that the results are written to; none where it is empty")
	flag.Parse()
	os.Exit(run(m, *knarr, *images, *page))
}

func run(m *testing.M, knarr, images, page string) int {
	if os.Geteuid() != 0 || knarr == "" || images == "" {
		fmt.Fprintln(os.Stderr, "ecosystem: these tests need root, -knarr and -images: `sudo make ecosystem` gives all three")
		return 1
	}
	c, err := harness.New(knarr, images)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ecosystem:", err)
		return 1
	}
	cluster = c
	start := time.Now()
	code := c.Main(m, func(ctx context.Context) error {
		if out := c.Up(ctx, "--nodes", "2"); out.Err != nil {
			return fmt.Errorf("the cluster does not come up: %s", out)
		}
		return nil
	})
	if page == "" {
		return code
	}
	if err := results.write(page, time.Since(start)); err != nil {
		fmt.Fprintln(os.Stderr, "ecosystem:", err)
		return 1
	}
	return code
}
