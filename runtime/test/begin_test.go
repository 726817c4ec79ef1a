package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A pod is removed while a container is made in it, as after a kill of the agent
// that had asked for that: nothing of it stays.
func TestNothingIsMadeInAPodThatGoes(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("going", nil)
	made := make(chan error, 1)
	go func() {
		config := &cri.ContainerConfig{Metadata: &cri.ContainerMetadata{Name: "main"}, Image: &cri.ImageSpec{Image: imageName}, Linux: &cri.LinuxContainerConfig{}}
		// To look at these takes longer than to remove a pod.
		for i := range 20000 {
			config.Mounts = append(config.Mounts, &cri.Mount{HostPath: n.logs, ContainerPath: fmt.Sprintf("/mnt/%d", i)})
		}
		_, err := n.runtime.CreateContainer(n.ctx(), &cri.CreateContainerRequest{PodSandboxId: p.id, Config: config, SandboxConfig: p.config})
		made <- err
	}()
	n.eventually("it is being made", func() bool {
		begun, err := filepath.Glob(filepath.Join(n.root, "containers", "*"))
		return err == nil && len(begun) == 1
	})
	n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
	err := <-made
	left, lerr := n.runtime.ListContainers(n.ctx(), &cri.ListContainersRequest{})
	if lerr != nil || len(left.GetContainers()) > 0 {
		t.Errorf("%d containers are left of a pod that is gone: %v; their creation: %v", len(left.GetContainers()), lerr, err)
	}
}

// A pod is stopped while a container of it is started: it does not run.
func TestNothingRunsInAPodThatWasStopped(t *testing.T) {
	n := newNode(t, withHandler, holdStart)
	n.load()
	p := n.runPod("stopping", nil)
	id := p.create("main", []string{"wait"}, nil)
	started := make(chan error, 1)
	go func() {
		_, err := n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: id})
		started <- err
	}()
	n.eventually("it is being started", func() bool { _, err := os.Stat(n.path("reached")); return err == nil })
	n.must(n.runtime.StopPodSandbox(n.ctx(), &cri.StopPodSandboxRequest{PodSandboxId: p.id}))
	n.must(nil, os.WriteFile(n.path("go-on"), nil, 0o600))
	if err := <-started; status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the start: %v", err)
	}
	n.ended(id)
}

// holdStart has the handler's program wait before it starts a container.
func holdStart(n *node) {
	n.t.Helper()
	program, err := ociProgram()
	if err != nil {
		n.t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/sh
case " $* " in *" start "*)
	touch %[1]s/reached
	until [ -e %[1]s/go-on ]; do sleep 0.01; done ;;
esac
exec %[2]s "$@"
`, n.dir, program)
	n.must(nil, os.WriteFile(n.path("hold"), []byte(script), 0o700))
	n.must(nil, os.WriteFile(n.path("config.json"), fmt.Appendf(nil, `{"handlers": {%q: {"path": %q}}}`, other, n.path("hold")), 0o600))
}

// A power cut can take the record of a sandbox and leave those of its containers.
func TestContainersOfALostSandboxGo(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("lost", nil)
	p.create("created", []string{"wait"}, nil)
	pid := n.containerPID(p, p.run("main", []string{"wait"}, nil))
	resume := n.suspendRestart()
	n.must(nil, os.Remove(filepath.Join(n.root, "sandboxes", p.id+".json")))
	resume()
	n.answers()
	n.eventually("the containers are gone", func() bool {
		left, err := n.runtime.ListContainers(n.ctx(), &cri.ListContainersRequest{})
		return err == nil && len(left.GetContainers()) == 0
	})
	if pid.Alive() {
		t.Error("a container of a sandbox that nobody knows runs on")
	}
}
