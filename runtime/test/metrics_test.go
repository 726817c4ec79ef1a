package test

import (
	"encoding/json"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// metricsAgree holds the metrics of a pod against their descriptors.
func (n *node) metricsAgree(p *pod, id string) {
	n.t.Helper()
	described, err := n.runtime.ListMetricDescriptors(n.ctx(), &cri.ListMetricDescriptorsRequest{})
	if err != nil {
		n.t.Fatal(err)
	}
	keys := map[string]int{}
	for _, d := range described.GetDescriptors() {
		keys[d.GetName()] = len(d.GetLabelKeys())
	}
	resp, err := n.runtime.ListPodSandboxMetrics(n.ctx(), &cri.ListPodSandboxMetricsRequest{})
	if err != nil || len(resp.GetPodMetrics()) != 1 || resp.GetPodMetrics()[0].GetPodSandboxId() != p.id {
		n.t.Fatalf("metrics: %v, %v", resp, err)
	}
	of := resp.GetPodMetrics()[0]
	if len(of.GetContainerMetrics()) != 1 || of.GetContainerMetrics()[0].GetContainerId() != id {
		n.t.Fatalf("metrics of containers: %v", of)
	}
	seen := map[string]bool{}
	for _, m := range append(of.GetMetrics(), of.GetContainerMetrics()[0].GetMetrics()...) {
		if labels, known := keys[m.GetName()]; !known || labels != len(m.GetLabelValues()) {
			n.t.Errorf("%s has %d labels and is described: %v", m.GetName(), len(m.GetLabelValues()), known)
		}
		seen[m.GetName()] = true
	}
	for _, want := range []string{"container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "container_network_receive_bytes_total", "container_start_time_seconds"} {
		if !seen[want] {
			n.t.Errorf("no %s", want)
		}
	}
}

// Who asks for more is told where to look on the node.
func TestVerboseStatus(t *testing.T) {
	n := newNode(t)
	n.load()
	p := n.runPod("verbose", nil)
	id := p.run("main", []string{"wait"}, nil)
	resp, err := n.runtime.ContainerStatus(n.ctx(), &cri.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		PID  int `json:"pid"`
		Spec struct {
			Process struct {
				Args []string `json:"args"`
			} `json:"process"`
		} `json:"runtimeSpec"`
	}
	if err := json.Unmarshal([]byte(resp.GetInfo()["info"]), &info); err != nil || info.PID == 0 || len(info.Spec.Process.Args) != 2 {
		t.Errorf("container: %+v, %v", info, err)
	}
	sb, err := n.runtime.PodSandboxStatus(n.ctx(), &cri.PodSandboxStatusRequest{PodSandboxId: p.id, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	var pod struct {
		Namespaces map[string]string `json:"namespaces"`
	}
	if err := json.Unmarshal([]byte(sb.GetInfo()["info"]), &pod); err != nil || pod.Namespaces["net"] == "" {
		t.Errorf("sandbox: %+v, %v", pod, err)
	}
}
