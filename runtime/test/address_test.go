package test

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The address of a pod that was stopped is another's before long, while the
// stopped one stays for its logs. A runtime that reads both from its records
// takes nothing from the other when it removes the first.
func TestARemovedPodTakesNobodysAddress(t *testing.T) {
	n := newNode(t)
	n.must(n.runtime.UpdateRuntimeConfig(n.ctx(), &cri.UpdateRuntimeConfigRequest{RuntimeConfig: &cri.RuntimeConfig{
		NetworkConfig: &cri.NetworkConfig{PodCidr: "10.244.78.0/29"}}}))
	first := n.runPod("first", nil)
	ip := first.ip()
	n.must(n.runtime.StopPodSandbox(n.ctx(), &cri.StopPodSandboxRequest{PodSandboxId: first.id}))
	n.killRuntime()
	n.answers()
	if again := first.ip(); again != "" {
		t.Errorf("a pod that was stopped has address %s", again)
	}
	var heir *pod
	for heir == nil || heir.ip() != ip {
		heir = n.runPod("heir", nil)
	}
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: first.id}))
	n.inNet(func() error {
		routes, err := netlink.RouteGet(net.ParseIP(ip))
		if err != nil || len(routes) != 1 {
			t.Errorf("the way to the pod that has the address: %v, %v", routes, err)
		}
		return nil
	})
	_, err := n.runtime.RunPodSandbox(n.ctx(), &cri.RunPodSandboxRequest{Config: &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Name: "x"}}})
	if err == nil {
		t.Error("an address was given out twice")
	}
}
