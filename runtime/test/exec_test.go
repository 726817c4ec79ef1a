package test

import (
	"fmt"
	"sync"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/proc"
)

// A container is killed while commands begin in it, as probes do: it ends at
// once, and of the commands nothing stays. What the kernel killed half begun is
// a child of the runtime in the container's PID namespace, whose first process
// cannot end before it is reaped.
func TestCommandsHoldNoKilledContainer(t *testing.T) {
	const rounds, commands = 40, 4
	n := newNode(t)
	n.load()
	p := n.runPod("execs", nil)
	for round := range rounds {
		id := p.run(fmt.Sprintf("main-%d", round), []string{"wait"}, nil)
		var all, began sync.WaitGroup
		began.Add(commands)
		for range commands {
			all.Go(func() {
				for begin := began.Done; ; begin = func() {} {
					_, err := n.runtime.ExecSync(n.ctx(), &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"/workload", "exit", "0"}})
					begin()
					if err != nil {
						return
					}
				}
			})
		}
		began.Wait()
		n.must(n.runtime.RemoveContainer(n.ctx(), &cri.RemoveContainerRequest{ContainerId: id}))
		all.Wait()
	}
	runtime := n.runtimeProcess()
	n.eventually("all that began is reaped", func() bool {
		for _, child := range proc.Descendants(runtime) {
			if st, err := proc.ReadStat(child.PID); err == nil && st.State == 'Z' {
				return false
			}
		}
		return true
	})
}
