package plugins

import "github.com/knarr-io/knarr/internal/scheduler/framework"

// DefaultPreemption lets a profile's pods displace pods of lower priority. The
// scheduler itself does it; here are only its settings.
type DefaultPreemption struct {
	// Candidates are looked for until as many nodes are found as the larger of
	// LeastPercent of those that could help and LeastCount.
	LeastPercent, LeastCount int32
}

// Upstream's defaults.
const (
	preemptLeastPercent = 10
	preemptLeastCount   = 100
)

// Name implements framework.Plugin.
func (DefaultPreemption) Name() string { return "DefaultPreemption" }

// Hint implements framework.Hinter: those who rejected the pod know better.
func (DefaultPreemption) Hint(*framework.Pod, framework.Event) bool { return false }

// Enough is how many candidates are looked for among so many nodes.
func (d DefaultPreemption) Enough(nodes int) int {
	return min(max(nodes*int(d.LeastPercent)/100, int(d.LeastCount)), nodes)
}
