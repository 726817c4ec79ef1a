package spec

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Rlimit is a limit of each process of a container (setrlimit(2)); -1 is none.
type Rlimit struct {
	Soft int64 `json:"soft"`
	Hard int64 `json:"hard"`
}

const rlimitPrefix = "RLIMIT_"

// RlimitNumbers are the kernel's, by their names in specifications.
func RlimitNumbers() map[string]int {
	return map[string]int{
		"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_DATA": unix.RLIMIT_DATA,
		"RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
		"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
		"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
		"RLIMIT_RTTIME": unix.RLIMIT_RTTIME, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
	}
}

// Rlimits reads the limits of a settings file, by names such as nofile.
func Rlimits(settings map[string]Rlimit) ([]specs.POSIXRlimit, error) {
	known := RlimitNumbers()
	var out []specs.POSIXRlimit
	for name, l := range settings {
		kind := rlimitPrefix + strings.ToUpper(name)
		if _, ok := known[kind]; !ok || name != strings.ToLower(name) {
			all := strings.ToLower(strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			return nil, fmt.Errorf("rlimits: none is called %q; there are %s", name, strings.ReplaceAll(all, strings.ToLower(rlimitPrefix), ""))
		}
		soft, hard := uint64(l.Soft), uint64(l.Hard) // -1 is the kernel's largest
		if l.Soft < -1 || l.Hard < -1 || soft > hard {
			return nil, fmt.Errorf("rlimits: %s: soft %d and hard %d cannot be: each is a number or -1 for none, and soft is not above hard", name, l.Soft, l.Hard)
		}
		out = append(out, specs.POSIXRlimit{Type: kind, Soft: soft, Hard: hard})
	}
	slices.SortFunc(out, func(a, b specs.POSIXRlimit) int { return cmp.Compare(a.Type, b.Type) })
	return out, nil
}
