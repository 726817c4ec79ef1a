package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

var (
	// cluster is the one under test, api the only client of it: connections
	// count.
	cluster *harness.Cluster
	api     kubernetes.Interface
	minutes = flag.Float64("minutes", 2, "how long to work the cluster")
	report  = flag.String("report", "", "file that the figures are written to")
)

func TestMain(m *testing.M) {
	knarr := flag.String("knarr", "", "path of the program under test")
	images := flag.String("images", "", "folder of image archives, as `make images` builds them")
	flag.Parse()
	os.Exit(run(m, *knarr, *images))
}

func run(m *testing.M, knarr, images string) int {
	if os.Geteuid() != 0 || knarr == "" || images == "" {
		fmt.Fprintln(os.Stderr, "soak: it needs root, -knarr and -images: `sudo make soak` gives all three")
		return 1
	}
	c, err := harness.New(knarr, images)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 1
	}
	cluster = c
	return c.Main(m, func(ctx context.Context) error {
		if out := c.Up(ctx); out.Err != nil {
			return fmt.Errorf("the cluster does not come up: %s", out)
		}
		api, err = c.API()
		return errors.Join(err, c.Import(ctx, "docker.io_library_busybox"))
	})
}

// length is how long the cluster is worked.
func length() time.Duration { return time.Duration(*minutes * float64(time.Minute)) }
