// Package podcgroup keeps the cgroups above containers: one per pod with the
// sum of its containers' requests and limits, and one per class of service,
// so that CPU is shared by what pods asked for and a pod as a whole stays
// within its limits. Containers' own cgroups are the runtime's.
//
// Manager owns <root>/kubepods and everything in it but the containers'
// groups. It works on cgroup v1 and v2 by opencontainers/cgroups.
package podcgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/knarr-io/knarr/internal/node/render"
)

const cpuPeriod = 100_000 // microseconds

// Manager makes and removes cgroups. It is safe for concurrent use.
type Manager struct {
	Options

	mu struct {
		sync.Mutex
		// burstable is the CPU, in thousandths, that burstable pods asked for.
		burstable map[types.UID]int64
		classes   bool                 // the groups of the classes were made
		refused   map[types.UID]uint64 // forks, as last read
	}
}

// Options say where the cgroups are and what bounds them.
type Options struct {
	// Root is the parent of kubepods, such as "knarr" or "".
	Root string
	// Pods bounds all pods together: memory, and CPU by shares; nil for no bound.
	Pods corev1.ResourceList
	// PIDs bounds the processes of each pod; zero or less for no bound.
	PIDs int64
	// NoCPUQuota lets pods take more CPU than their limits.
	NoCPUQuota bool
}

// New makes a manager.
func New(o Options) *Manager {
	m := &Manager{Options: o}
	m.mu.burstable = make(map[types.UID]int64)
	m.mu.refused = make(map[types.UID]uint64)
	return m
}

// Ensure makes the pod's cgroup, or gives it the pod's present limits.
func (m *Manager) Ensure(pod *corev1.Pod) error {
	if err := m.classes(pod); err != nil {
		return err
	}
	return m.set(render.CgroupParent(m.Root, pod), m.podResources(pod))
}

// Remove takes the pod's cgroup away; it may be gone already.
func (m *Manager) Remove(pod *corev1.Pod) error {
	var errs []error
	m.mu.Lock()
	delete(m.mu.refused, pod.UID)
	if _, counted := m.mu.burstable[pod.UID]; counted {
		delete(m.mu.burstable, pod.UID)
		errs = append(errs, m.shareBurstableLocked())
	}
	m.mu.Unlock()
	// The class of a pod that only the runtime knew is not known.
	for _, class := range []corev1.PodQOSClass{corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort} {
		if known := render.QOS(pod); len(pod.Spec.Containers) > 0 && known != class {
			continue
		}
		of := &corev1.Pod{ObjectMeta: pod.ObjectMeta, Status: corev1.PodStatus{QOSClass: class}}
		group, err := m.group(render.CgroupParent(m.Root, of), &cgroups.Resources{})
		if err == nil {
			err = group.Destroy()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cgroup of pod %s: %w", pod.UID, err))
		}
	}
	return errors.Join(errs...)
}

// classes makes the groups of the classes once, and counts a burstable pod.
func (m *Manager) classes(pod *corev1.Pod) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := !m.mu.classes
	if render.QOS(pod) == corev1.PodQOSBurstable {
		asked := requested(pod)
		known, counted := m.mu.burstable[pod.UID]
		changed = changed || !counted || known != asked
		m.mu.burstable[pod.UID] = asked
	}
	if !m.mu.classes {
		if err := m.set(m.class(corev1.PodQOSGuaranteed), allPods(m.Pods)); err != nil {
			return err
		}
		least := &cgroups.Resources{SkipDevices: true, CpuShares: uint64(render.CPUShares(0))}
		if err := m.set(m.class(corev1.PodQOSBestEffort), least); err != nil {
			return err
		}
		m.mu.classes = true
	}
	if !changed {
		return nil
	}
	return m.shareBurstableLocked()
}

// shareBurstableLocked gives the burstable class as a whole what its pods
// asked for.
func (m *Manager) shareBurstableLocked() error {
	sum := int64(0)
	for _, milli := range m.mu.burstable {
		sum += milli
	}
	return m.set(m.class(corev1.PodQOSBurstable), &cgroups.Resources{SkipDevices: true, CpuShares: uint64(render.CPUShares(sum))})
}

func (m *Manager) class(class corev1.PodQOSClass) string {
	return render.ClassCgroup(m.Root, class)
}

func (m *Manager) group(path string, r *cgroups.Resources) (cgroups.Manager, error) {
	return manager.New(&cgroups.Cgroup{Path: path, Resources: r})
}

func (m *Manager) set(path string, r *cgroups.Resources) error {
	group, err := m.group(path, r)
	if err != nil {
		return fmt.Errorf("cgroup %s: %w", path, err)
	}
	if err := group.Apply(-1); err != nil {
		return fmt.Errorf("cgroup %s: %w", path, err)
	}
	if err := group.Set(r); err != nil {
		return fmt.Errorf("cgroup %s: %w", path, err)
	}
	return nil
}

func requested(pod *corev1.Pod) int64 {
	list := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	return list.Cpu().MilliValue()
}

// podResources are the settings of a pod's cgroup.
func (m *Manager) podResources(pod *corev1.Pod) *cgroups.Resources {
	r := sum(pod)
	if m.NoCPUQuota {
		r.CpuPeriod, r.CpuQuota = 0, 0
	}
	if m.PIDs > 0 {
		r.PidsLimit = &m.PIDs
	}
	return r
}

// allPods bounds kubepods, the parent of all.
func allPods(list corev1.ResourceList) *cgroups.Resources {
	r := &cgroups.Resources{SkipDevices: true}
	if cpu := list.Cpu().MilliValue(); cpu > 0 {
		r.CpuShares = uint64(render.CPUShares(cpu))
	}
	if memory := list.Memory().Value(); memory > 0 {
		r.Memory = memory
	}
	return r
}

// sum sums a pod up: shares of what it asked for, and limits where the pod or
// every container has one.
func sum(pod *corev1.Pod) *cgroups.Resources {
	r := &cgroups.Resources{SkipDevices: true, CpuPeriod: cpuPeriod, CpuShares: uint64(render.CPUShares(requested(pod)))}
	cpu, memory := true, true
	resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{ContainerFn: func(limits corev1.ResourceList, _ resourcehelper.ContainerType) {
		cpu = cpu && !limits.Cpu().IsZero()
		memory = memory && !limits.Memory().IsZero()
	}})
	if own := pod.Spec.Resources; own != nil { // the pod's own limit counts whatever its containers have
		cpu = cpu || !own.Limits.Cpu().IsZero()
		memory = memory || !own.Limits.Memory().IsZero()
	}
	limits := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
	if cpu && !limits.Cpu().IsZero() {
		r.CpuQuota = max(limits.Cpu().MilliValue()*cpuPeriod/1000, 1000)
	}
	if memory && !limits.Memory().IsZero() {
		r.Memory = limits.Memory().Value()
	}
	return r
}
