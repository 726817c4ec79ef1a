package nodetest_test

import (
	"slices"
	"testing"
)

// A pod of which the runtime cannot tell is left alone until it can; the
// others run.
func TestOneBrokenSandboxBlindsNobody(t *testing.T) {
	w := newWorld(t)
	w.create(pod("broken"))
	w.create(pod("whole"))
	w.awaitReady("broken")
	w.awaitReady("whole")
	w.stop()
	w.runtime.Break("broken", true)
	w.create(pod("new"))
	w.start()
	w.awaitReady("new")
	w.delete("whole", nil)
	w.awaitGone("whole")
	made := slices.DeleteFunc(w.runtime.Calls(), func(call string) bool { return call != "RunPodSandbox broken" })
	if len(made) != 1 {
		t.Errorf("%d sandboxes were made for the pod of which nothing is told", len(made))
	}
	w.eventually("its sandbox and the new one stay", func() bool { return w.runtime.Sandboxes() == 2 })
	w.runtime.Break("broken", false)
	w.delete("broken", nil)
	w.awaitGone("broken")
}
