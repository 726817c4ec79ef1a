package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knarr-io/knarr/internal/app/keep"
	"github.com/knarr-io/knarr/internal/base/remedy"
)

// whereItRuns refuses other folders, or another cgroup, for a cluster that is
// up: a second keep would run its data a second time.
func (s Settings) whereItRuns() error {
	st, known, err := loadState(s.stateFile())
	if err != nil || !known || st.RunDir == "" {
		return nil // what is wrong with the file is told where it is needed
	}
	before := st.into(s)
	if (before.RunDir == s.RunDir && before.LogDir == s.LogDir && before.CgroupParent == s.CgroupParent) || !exists(before.keepSocket()) {
		return nil
	}
	return remedy.New(fmt.Sprintf("the cluster in %s runs with --run-dir %s, --pod-log-dir %s and --cgroup-parent %s", s.DataDir, before.RunDir, before.LogDir, before.CgroupParent),
		"leave these flags out, or stop it with `knarr down` first")
}

// alone refuses a run folder whose keep runs another cluster: its services
// would be replaced by those of this one, and its pods be nobody's.
func (s Settings) alone(ctx context.Context) error {
	services, err := keep.Client{Socket: s.keepSocket()}.List(ctx)
	if err != nil {
		return nil // none runs there
	}
	for _, service := range services {
		if service.Name != serviceServer && service.Name != serviceAgent || service.PID == 0 {
			continue
		}
		other := Settings{DataDir: flagOf(service.PID, "--data-dir")}
		if filepath.IsAbs(other.DataDir) && exists(other.stateFile()) && !sameFile(other.DataDir, s.DataDir) {
			return remedy.New(fmt.Sprintf("the cluster in %s runs on this machine", other.DataDir),
				fmt.Sprintf("stop it first with `knarr down --data-dir %s`", other.DataDir))
		}
	}
	return nil
}

// flagOf is the value of a flag on a process's command line, or nothing.
func flagOf(pid int, flag string) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	args := strings.Split(string(line), "\x00")
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
