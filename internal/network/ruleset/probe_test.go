package ruleset

import "testing"

// The tests' kernel has everything; that each expression is really committed
// is seen by the packet tests of the proxy.
func TestProbeFindsThisKernelGoodEnough(t *testing.T) {
	if err := Probe(); err != nil {
		t.Fatal(err)
	}
}
