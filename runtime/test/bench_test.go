package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// BenchmarkPod measures a pod with one container from nothing to running, and
// its removal. It reports the parts and what the runtime's process takes.
func BenchmarkPod(b *testing.B) {
	n := newNode(b)
	n.load()
	var sandbox, create, start, remove time.Duration
	pid := n.runtimeProcess().PID
	before, i := n.cpu(pid), 0
	for b.Loop() {
		t0 := time.Now()
		p := n.runPod("p"+strconv.Itoa(i), nil)
		t1 := time.Now()
		id := p.create("c", []string{"wait"}, nil)
		t2 := time.Now()
		n.must(n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: id}))
		t3 := time.Now()
		n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
		sandbox, create, start, remove = sandbox+t1.Sub(t0), create+t2.Sub(t1), start+t3.Sub(t2), remove+time.Since(t3)
		i++
	}
	b.ReportMetric(float64((n.cpu(pid)-before).Microseconds())/1000/float64(i), "cpu-ms")
	for name, d := range map[string]time.Duration{"sandbox-ms": sandbox, "create-ms": create, "start-ms": start, "remove-ms": remove} {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(i), name)
	}
}

// BenchmarkStart measures the start of one more container, with and without a seccomp profile.
func BenchmarkStart(b *testing.B) {
	for name, profile := range map[string]cri.SecurityProfile_ProfileType{
		"unconfined": cri.SecurityProfile_Unconfined, "seccomp": cri.SecurityProfile_RuntimeDefault} {
		b.Run(name, func(b *testing.B) {
			n := newNode(b)
			n.load()
			p := n.runPod("p", nil)
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				id := p.create(strconv.Itoa(i), []string{"wait"}, func(c *cri.ContainerConfig) {
					c.Linux.SecurityContext.Seccomp = &cri.SecurityProfile{ProfileType: profile}
				})
				b.StartTimer()
				n.must(n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: id}))
				b.StopTimer()
				n.must(n.runtime.RemoveContainer(n.ctx(), &cri.RemoveContainerRequest{ContainerId: id}))
				b.StartTimer()
			}
		})
	}
}

// BenchmarkParallelPods measures many pods that start at the same time.
func BenchmarkParallelPods(b *testing.B) {
	const pods = 20
	n := newNode(b)
	n.load()
	for b.Loop() {
		var wait sync.WaitGroup
		all := make([]*pod, pods)
		for i := range all {
			wait.Go(func() {
				all[i] = n.runPod(fmt.Sprint("p", i), nil)
				all[i].run("c", []string{"wait"}, nil)
			})
		}
		wait.Wait()
		b.StopTimer()
		for _, p := range all {
			n.must(n.runtime.RemovePodSandbox(n.ctx(), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}))
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/pods, "ms/pod")
}

// BenchmarkMemory reports the runtime's memory, idle and for each running pod.
func BenchmarkMemory(b *testing.B) {
	n := newNode(b)
	n.load()
	idle, idleAnon := n.memory(n.runtimeProcess().PID)
	keep, _ := n.memory(n.keepCmd.Process.Pid)
	const pods = 20
	for i := range pods {
		n.runPod(fmt.Sprint("p", i), nil).run("c", []string{"wait"}, nil)
	}
	busy, _ := n.memory(n.runtimeProcess().PID)
	for b.Loop() { // nothing here takes time
	}
	b.ReportMetric(float64(idle)/1024, "idle-MiB")
	b.ReportMetric(float64(idleAnon)/1024, "idle-anon-MiB")
	b.ReportMetric(float64(keep)/1024, "keep-MiB")
	b.ReportMetric(float64(busy-idle)/pods, "KiB/pod")
}

// cpu returns the processor time of a process and of its children that ended, containers included.
func (n *node) cpu(pid int) time.Duration {
	n.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		n.t.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+2:]))
	var ticks int
	for _, f := range fields[11:15] {
		v, err := strconv.Atoi(f)
		if err != nil {
			n.t.Fatal(err)
		}
		ticks += v
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory returns the resident and the anonymous memory of a process, in KiB.
func (n *node) memory(pid int) (resident, anonymous int) {
	n.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		v, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "VmRSS:":
			resident = v
		case "RssAnon:":
			anonymous = v
		}
	}
	return resident, anonymous
}
