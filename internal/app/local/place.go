package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// passedOver tells which wishes come too late: what a cluster is called and
// where it listens is chosen once, when it is made.
func (s Settings) passedOver(before state) (notes []string) {
	tell := func(flag, wished, is string) {
		notes = append(notes, fmt.Sprintf("--%s %s is passed over: the cluster has %s since it was made", flag, wished, is)+
			remedy.Mark+"leave the flag out, or start over with `knarr down --purge`")
	}
	if s.NodeName != "" && s.NodeName != before.NodeName {
		tell("node-name", s.NodeName, before.NodeName)
	}
	for _, port := range []struct {
		flag       string
		wished, is int
	}{{"api-port", s.APIPort, before.APIPort}, {"http-port", s.HTTPPort, before.HTTPPort}, {"https-port", s.HTTPSPort, before.HTTPSPort}} {
		if port.wished != port.is {
			tell(port.flag, strconv.Itoa(port.wished), strconv.Itoa(port.is))
		}
	}
	return notes
}
