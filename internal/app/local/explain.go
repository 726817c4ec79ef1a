package local

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/scheduler"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// ExplainPod tells of every node what keeps the pod from it, the nodes that
// lack the least first.
func ExplainPod(ctx context.Context, s Settings, namespace, name string) (*corev1.Pod, []scheduler.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	config, err := adminConfig(s)
	if err != nil {
		return nil, nil, err
	}
	transport, err := client.NewHTTPS(config, catalog.New())
	if err != nil {
		return nil, nil, err
	}
	c := client.New(transport, catalog.New())
	pod, err := client.For[*corev1.Pod](c).Get(ctx, namespace, name)
	if err != nil {
		return nil, nil, fmt.Errorf("read pod %s/%s: %w", namespace, name, err)
	}
	r := &lists{ctx: ctx, client: c}
	nodes, pods := listed[*corev1.Node](r, ""), listed[*corev1.Pod](r, "")
	from := r.sources(namespace)
	if r.err != nil {
		return nil, nil, r.err
	}
	return pod, scheduler.Explain(pod, nodes, pods, from), nil
}

// lists reads kinds until the first error.
type lists struct {
	ctx    context.Context
	client *client.Client
	err    error
}

func listed[T api.Object](r *lists, namespace string) []T {
	if r.err != nil {
		return nil
	}
	out, _, err := client.For[T](r.client).List(r.ctx, namespace, metav1.ListOptions{})
	if err != nil {
		r.err = fmt.Errorf("list what the scheduler looks at: %w", err)
	}
	return out
}

// named lists a kind by name.
func named[T api.Object](r *lists, namespace string) func(name string) T {
	byName := map[string]T{}
	for _, o := range listed[T](r, namespace) {
		byName[o.GetName()] = o
	}
	return func(name string) T { return byName[name] }
}

// sources are what the plugins look up for a pod of the namespace.
func (r *lists) sources(namespace string) plugins.Sources {
	namespaces := named[*corev1.Namespace](r, "")
	services := listed[*corev1.Service](r, namespace)
	sets := named[*appsv1.ReplicaSet](r, namespace)
	claims := map[plugins.ClaimKey]*corev1.PersistentVolumeClaim{}
	for _, c := range listed[*corev1.PersistentVolumeClaim](r, "") {
		claims[plugins.ClaimKey{Namespace: c.Namespace, Name: c.Name}] = c
	}
	volumes := listed[*corev1.PersistentVolume](r, "")
	capacities := listed[*storagev1.CSIStorageCapacity](r, "")
	devices := plugins.NewClaimLedger()
	for _, c := range listed[*resourcev1.ResourceClaim](r, "") {
		devices.Put(c)
	}
	offered, deviceClasses := listed[*resourcev1.ResourceSlice](r, ""), listed[*resourcev1.DeviceClass](r, "")
	return plugins.Sources{
		Namespace: func(name string) labels.Set {
			if ns := namespaces(name); ns != nil {
				return ns.Labels
			}
			return nil
		},
		Services: func(string) []*corev1.Service { return services },
		OwnerSelector: func(_ string, owner *metav1.OwnerReference) *metav1.LabelSelector {
			if set := sets(owner.Name); set != nil && owner.Kind == "ReplicaSet" {
				return set.Spec.Selector
			}
			return nil
		},
		Devices: plugins.Devices{
			Slices: func() []*resourcev1.ResourceSlice { return offered }, Class: named[*resourcev1.DeviceClass](r, ""),
			Classes: func() []*resourcev1.DeviceClass { return deviceClasses }, Claims: devices,
		},
		Volumes: plugins.Volumes{
			Claim: func(ns, name string) *corev1.PersistentVolumeClaim {
				return claims[plugins.ClaimKey{Namespace: ns, Name: name}]
			},
			Volume: named[*corev1.PersistentVolume](r, ""),
			All:    func() []*corev1.PersistentVolume { return append([]*corev1.PersistentVolume(nil), volumes...) },
			Class:  named[*storagev1.StorageClass](r, ""), Driver: named[*storagev1.CSIDriver](r, ""), Node: named[*storagev1.CSINode](r, ""),
			Capacities: func() []*storagev1.CSIStorageCapacity { return capacities },
			Promised:   plugins.NewPromises(),
		},
	}
}
