package stats

import (
	"context"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cgroupstats"
	"github.com/knarr-io/knarr/internal/node/render"
)

// ContainerMetrics serves the metrics that cAdvisor is known for, read from
// the cgroups of the machine, of the pods, and of their containers.
func (p *Provider) ContainerMetrics(ctx context.Context) http.Handler {
	return serve(cadvisorCollector{ctx: ctx, p: p})
}

type cadvisorCollector struct {
	ctx context.Context
	p   *Provider
}

// Describe sends nothing: the series depend on the pods.
func (cadvisorCollector) Describe(chan<- *prometheus.Desc) {}

// subject is whose figures are sent; its labels go with all of them.
type subject struct {
	container, path, image, name, namespace, pod string
}

// labels stand in the order of subjectLabels.
func (s subject) labels(more ...string) []string {
	return append([]string{s.container, s.path, s.image, s.name, s.namespace, s.pod}, more...)
}

func subjectLabels(more ...string) []string {
	return append([]string{"container", "id", "image", "name", "namespace", "pod"}, more...)
}

// Collect sends the figures of one walk over the cgroups.
func (c cadvisorCollector) Collect(out chan<- prometheus.Metric) {
	e := groupEmitter{newEmitter(out)}
	failed := 0.0
	sandboxes, err := c.p.sandboxStats(c.ctx, sharedFor)
	if err != nil {
		failed = 1
	}
	e.send(gauge("container_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise"), failed, time.Time{})
	c.p.machine(e.emitter)
	c.group(e, subject{path: "/"}, nil, "self")
	for _, class := range []corev1.PodQOSClass{"", corev1.PodQOSBurstable, corev1.PodQOSBestEffort} {
		c.group(e, subject{path: render.ClassCgroup(c.p.CgroupRoot, class)}, nil, "")
	}
	known := c.p.known()
	for _, s := range sandboxes {
		c.sandbox(e, s, known)
	}
}

// sandbox sends what a pod uses, and each of its containers.
func (c cadvisorCollector) sandbox(e groupEmitter, s *runtimeapi.PodSandboxStats, known map[string]knownPod) {
	labels := s.GetAttributes().GetLabels()
	of := subject{namespace: labels[render.LabelPodNamespace], pod: labels[render.LabelPodName]}
	k := known[labels[render.LabelPodUID]]
	if k.pod == nil || c.ctx.Err() != nil {
		return
	}
	of.path = render.CgroupParent(c.p.CgroupRoot, k.pod)
	process := ""
	for _, container := range s.GetLinux().GetContainers() {
		id, name := container.GetAttributes().GetId(), container.GetAttributes().GetMetadata().GetName()
		own := of
		own.container, own.name, own.path = name, id, cgroupstats.Find(of.path, id)
		if spec := render.Find(k.pod, name); spec != nil {
			own.image = spec.Image
		}
		if g := c.group(e, own, container.GetWritableLayer(), ""); g != nil && process == "" {
			process = firstProcess(g)
		}
	}
	if k.pod.Spec.HostNetwork {
		process = ""
	}
	c.group(e, of, nil, process)
}

func firstProcess(g *cgroupstats.Group) string {
	pids, err := g.Processes()
	if err != nil || len(pids) == 0 {
		return ""
	}
	return strconv.Itoa(pids[0])
}

// group sends what a cgroup uses; of the network, what the process sees, where
// one is given. The answer is nil where the group is gone.
func (c cadvisorCollector) group(e groupEmitter, of subject, layer *runtimeapi.FilesystemUsage, process string) *cgroupstats.Group {
	g, err := cgroupstats.Read(of.path)
	if err != nil {
		return nil
	}
	e.cpu(of, g)
	e.memory(of, g)
	e.limits(of, g)
	e.io(of, g)
	e.pressure(of, g)
	e.processes(of, g)
	if layer != nil {
		e.layer(of, g, layer)
	}
	if of.path == "/" {
		e.disk(of, g, c.p.Root)
	}
	if process != "" {
		for _, t := range trafficOf(process) {
			e.traffic(of, g, t)
		}
	}
	return g
}

// machine sends what the machine has.
func (p *Provider) machine(e *emitter) {
	labels := []string{readWord("/proc/sys/kernel/random/boot_id"), readWord("/etc/machine-id"), readWord("/sys/class/dmi/id/product_uuid")}
	names := []string{"boot_id", "machine_id", "system_uuid"}
	topology := readTopology("/sys/devices/system/cpu")
	e.send(gauge("machine_cpu_cores", "Number of logical CPU cores.", names...), float64(topology.threads), time.Time{}, labels...)
	e.send(gauge("machine_cpu_physical_cores", "Number of physical CPU cores.", names...), float64(topology.cores), time.Time{}, labels...)
	e.send(gauge("machine_cpu_sockets", "Number of CPU sockets.", names...), float64(topology.sockets), time.Time{}, labels...)
	if mem, swap := memoryTotals(); mem > 0 {
		e.send(gauge("machine_memory_bytes", "Amount of memory installed on the machine.", names...), float64(mem), time.Time{}, labels...)
		e.send(gauge("machine_swap_bytes", "Amount of swap memory available on the machine.", names...), float64(swap), time.Time{}, labels...)
	}
	e.send(gauge("machine_scrape_error", "1 if there was an error while getting machine metrics, 0 otherwise."), 0, time.Time{})
}

// topology counts the machine's processors.
type topology struct{ threads, cores, sockets int }

func readTopology(root string) topology {
	dirs, err := filepath.Glob(filepath.Join(root, "cpu[0-9]*"))
	if err != nil {
		return topology{}
	}
	cores, sockets := map[string]bool{}, map[string]bool{}
	out := topology{}
	for _, dir := range dirs {
		socket := readWord(dir + "/topology/physical_package_id")
		if socket == "" {
			continue // not online
		}
		out.threads++
		sockets[socket] = true
		cores[socket+"/"+readWord(dir+"/topology/core_id")] = true
	}
	out.cores, out.sockets = len(cores), len(sockets)
	return out
}

func container(name, help string, more ...string) family {
	return gauge("container_"+name, help, subjectLabels(more...)...)
}

func containerTotal(name, help string, more ...string) family {
	return counter("container_"+name, help, subjectLabels(more...)...)
}

func trimmed(data []byte) string { return strings.TrimSpace(string(data)) }
