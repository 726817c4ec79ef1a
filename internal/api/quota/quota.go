// Package quota tells what objects use of the amounts that a ResourceQuota
// limits, and which quotas an object falls under. All of it is pure: the API
// server asks before it stores an object, the quota controller to sum up what
// is there, and both get the same answer.
//
// Names and rules are upstream's: https://kubernetes.io/docs/concepts/policy/resource-quotas/.
package quota

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

// countPrefix starts the names that count objects of any kind.
const countPrefix = "count/"

// plain are the kinds that quotas also count under their bare name.
var plain = []string{"configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "secrets", "services"}

// countName is the name under which a quota counts the objects of a resource.
func countName(gr schema.GroupResource) corev1.ResourceName {
	return corev1.ResourceName(countPrefix + gr.String())
}

// Usage is what an object of a resource uses, under every name that a quota
// can limit it by. now tells which pods are past their end.
func Usage(gr schema.GroupResource, obj api.Object, now time.Time) corev1.ResourceList {
	out := corev1.ResourceList{countName(gr): one()}
	if gr.Group == "" && slices.Contains(plain, gr.Resource) {
		out[corev1.ResourceName(gr.Resource)] = one()
	}
	switch obj := obj.(type) {
	case *corev1.Pod:
		addPod(out, obj, now)
	case *corev1.PersistentVolumeClaim:
		addClaim(out, obj)
	case *corev1.Service:
		addService(out, obj)
	case *resourcev1.ResourceClaim:
		addDevices(out, obj)
	}
	return out
}

// Limits tells whether a quota's hard amounts limit anything of a resource.
func Limits(hard corev1.ResourceList, gr schema.GroupResource) bool {
	for name := range hard {
		if Covers(name, gr) {
			return true
		}
	}
	return false
}

// Covers tells whether a name of a quota is about objects of a resource.
func Covers(name corev1.ResourceName, gr schema.GroupResource) bool {
	text := string(name)
	switch {
	case name == countName(gr), gr.Group == "" && text == gr.Resource:
		return true
	case strings.HasPrefix(text, countPrefix):
		return false
	}
	switch gr {
	case schema.GroupResource{Resource: "pods"}:
		return isCompute(name)
	case schema.GroupResource{Resource: "services"}:
		return strings.HasPrefix(text, "services.")
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		return name == corev1.ResourceRequestsStorage || strings.Contains(text, storageClassInfix)
	case schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceclaims"}:
		return strings.HasSuffix(text, deviceClassSuffix)
	}
	return false
}

// Mask is the part of a list that has the names of another.
func Mask(list, names corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, amount := range list {
		if _, has := names[name]; has {
			out[name] = amount
		}
	}
	return out
}

// Add adds the amounts of more to sum.
func Add(sum, more corev1.ResourceList) {
	for name, amount := range more {
		total := sum[name].DeepCopy()
		total.Add(amount)
		sum[name] = total
	}
}

// Max is the larger of each amount.
func Max(a, b corev1.ResourceList) corev1.ResourceList {
	out := a.DeepCopy()
	if out == nil {
		out = corev1.ResourceList{}
	}
	for name, amount := range b {
		if have, has := out[name]; !has || amount.Cmp(have) > 0 {
			out[name] = amount.DeepCopy()
		}
	}
	return out
}

// Growth is by how much each amount of list is above that of old; what does
// not grow is left out.
func Growth(list, old corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, amount := range list {
		more := amount.DeepCopy()
		more.Sub(old[name])
		if more.Sign() > 0 {
			out[name] = more
		}
	}
	return out
}

func one() resource.Quantity { return *resource.NewQuantity(1, resource.DecimalSI) }

func count(n int) resource.Quantity { return *resource.NewQuantity(int64(n), resource.DecimalSI) }
