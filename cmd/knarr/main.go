// Command knarr is all of Kubernetes in one small ship: see internal/app/cli
// for its commands.
package main

import (
	"os"
	_ "time/tzdata" // CronJobs name time zones, on machines that may have none

	"github.com/knarr-io/knarr/internal/app/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:]))
}
