package realtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/rest"
	kubelet "k8s.io/kubelet/config/v1beta1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	dto "github.com/prometheus/client_model/go"
)

// get reads a path of the kubelet API.
func (m *machine) get(path string) []byte {
	m.t.Helper()
	transport, err := rest.TransportFor(&rest.Config{TLSClientConfig: m.tls})
	if err != nil {
		m.t.Fatal(err)
	}
	path, query, _ := strings.Cut(path, "?")
	at := m.url(path, nil)
	at.RawQuery = query
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, at.String(), nil)
	if err != nil {
		m.t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("%s: %s %s %v", path, resp.Status, body, err)
	}
	return body
}

// series are the families of a path, by name.
func (m *machine) series(path string) map[string]*dto.MetricFamily {
	m.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	out, err := parser.TextToMetricFamilies(strings.NewReader(string(m.get(path))))
	if err != nil {
		m.t.Fatalf("%s: %v", path, err)
	}
	return out
}

// of finds the value of a family's series with these labels; ok is false
// where there is none.
func of(f *dto.MetricFamily, labels map[string]string) (v float64, ok bool) {
	for _, s := range f.GetMetric() {
		found := 0
		for _, l := range s.GetLabel() {
			if want, asked := labels[l.GetName()]; asked && want == l.GetValue() {
				found++
			}
		}
		if found == len(labels) {
			return s.GetCounter().GetValue() + s.GetGauge().GetValue() + float64(s.GetHistogram().GetSampleCount()), true
		}
	}
	return 0, false
}

func TestStatisticsOverTheAPI(t *testing.T) {
	m := newMachine(t)
	m.create(pod("busy", "echo begun; while true; do :; done", func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("200m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
		c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}, PeriodSeconds: 1, TimeoutSeconds: 60}
	}))
	p := m.await("busy", "is ready", ready)
	m.eventuallyRight("the summary is whole", func() string { return m.summary(p) })
	m.summaryShort()

	app := map[string]string{"namespace": "default", "pod": "busy", "container": "app"}
	for path, want := range map[string][]string{
		"/metrics/resource": {"container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "container_start_time_seconds"},
		"/metrics/cadvisor": {"container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "container_memory_usage_bytes", "container_threads", "container_processes",
			"container_spec_cpu_quota", "container_spec_memory_limit_bytes", "container_last_seen"},
		"/metrics/probes": {"prober_probe_total", "prober_probe_duration_seconds"},
	} {
		m.eventuallyRight(path+" tells of the container", func() string {
			all := m.series(path)
			for _, name := range want {
				if v, ok := of(all[name], app); !ok || v == 0 {
					return fmt.Sprintf("%s: %v, %v", name, v, ok)
				}
			}
			return ""
		})
	}
	contained := m.series("/metrics/cadvisor")
	for name, labels := range map[string]map[string]string{
		"container_network_receive_bytes_total": {"namespace": "default", "pod": "busy", "interface": "eth0"},
		"container_fs_limit_bytes":              {"id": "/"},
		"machine_memory_bytes":                  {}, "machine_cpu_cores": {},
	} {
		if _, ok := of(contained[name], labels); !ok {
			t.Errorf("%s%v is missing", name, labels)
		}
	}
	ofNode := map[string]map[string]string{
		"kubelet_running_pods": {}, "kubelet_running_containers": {"container_state": "running"}, "kubelet_node_name": {"node": "n1"},
		"kubelet_runtime_operations_total": {"operation_type": "run_podsandbox"}, "kubelet_started_containers_total": {"container_type": "container"},
		"kubelet_pod_start_duration_seconds": {}, "kubelet_pod_start_sli_duration_seconds": {}, "kubelet_http_requests_total": {"path": "metrics/cadvisor"}, "process_cpu_seconds_total": {},
	}
	// A request is counted when its answer has been sent.
	m.eventuallyRight("/metrics tells of the node", func() string {
		own := m.series("/metrics")
		for name, labels := range ofNode {
			if v, ok := of(own[name], labels); !ok || v == 0 {
				return fmt.Sprintf("%s%v: %v, %v", name, labels, v, ok)
			}
		}
		return ""
	})
	var shown struct{ KubeletConfig kubelet.KubeletConfiguration }
	if err := json.Unmarshal(m.get("/configz"), &shown); err != nil || shown.KubeletConfig.MaxPods != 110 {
		t.Errorf("configz: %+v %v", shown.KubeletConfig, err)
	}
	var running corev1.PodList
	if err := json.Unmarshal(m.get("/runningpods/"), &running); err != nil || len(running.Items) != 1 || running.Items[0].Spec.Containers[0].Name != "app" {
		t.Errorf("running pods: %+v %v", running, err)
	}
	m.delete("busy")
	m.eventually("probes of a pod that is gone are told no more", func() bool {
		_, told := of(m.series("/metrics/probes")["prober_probe_total"], map[string]string{"pod": "busy"})
		return !told
	})
}

// summary says what is missing from the summary of a node with that one pod.
func (m *machine) summary(p *corev1.Pod) string {
	m.t.Helper()
	var s statsapi.Summary
	if err := json.Unmarshal(m.get("/stats/summary"), &s); err != nil || len(s.Pods) != 1 {
		return fmt.Sprintf("summary: %+v %v", s, err)
	}
	got := s.Pods[0]
	if got.PodRef.UID != string(p.UID) || len(got.Containers) != 1 || got.EphemeralStorage == nil || *got.EphemeralStorage.UsedBytes == 0 {
		return fmt.Sprintf("pod of the summary: %+v", got)
	}
	c := got.Containers[0]
	if c.CPU == nil || c.CPU.UsageNanoCores == nil || *c.CPU.UsageNanoCores == 0 || c.Memory == nil || *c.Memory.WorkingSetBytes == 0 || c.Rootfs == nil || c.Logs == nil || *c.Logs.UsedBytes == 0 {
		return fmt.Sprintf("container of the summary: %+v", c)
	}
	n := s.Node
	if n.CPU.UsageNanoCores == nil || n.Fs == nil || n.Runtime == nil || n.Runtime.ImageFs == nil || n.Rlimit == nil || len(n.SystemContainers) != 2 {
		return fmt.Sprintf("node of the summary: %+v", n)
	}
	return ""
}

func (m *machine) summaryShort() {
	m.t.Helper()
	var s statsapi.Summary
	if err := json.Unmarshal(m.get("/stats/summary?only_cpu_and_memory=true"), &s); err != nil || len(s.Pods) != 1 {
		m.t.Fatalf("short summary: %+v %v", s, err)
	}
	if p := s.Pods[0]; s.Node.Fs != nil || p.Network != nil || p.EphemeralStorage != nil || p.Containers[0].Rootfs != nil || p.Containers[0].CPU == nil {
		m.t.Errorf("short summary: %+v", s)
	}
}
