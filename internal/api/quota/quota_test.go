package quota

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

func amounts(list corev1.ResourceList) map[string]string {
	out := map[string]string{}
	for name, amount := range list {
		out[string(name)] = amount.String()
	}
	return out
}

func list(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func pod(requests, limits corev1.ResourceList) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits},
	}}}}
}

func TestUsage(t *testing.T) {
	now := time.Unix(1000, 0)
	core := func(plural string) schema.GroupResource { return schema.GroupResource{Resource: plural} }
	finished := pod(list("cpu", "1"), nil)
	finished.Status.Phase = corev1.PodSucceeded
	late, grace := pod(nil, nil), int64(30)
	late.DeletionTimestamp, late.DeletionGracePeriodSeconds = &metav1.Time{Time: now.Add(-time.Minute)}, &grace
	class, no := "fast", false
	for name, c := range map[string]struct {
		gr   schema.GroupResource
		obj  api.Object
		want map[string]string
	}{
		"a pod": {core("pods"), pod(list("cpu", "100m", "memory", "1Gi", "example.com/gpu", "2", "hugepages-2Mi", "4Mi"), list("cpu", "1")), map[string]string{
			"count/pods": "1", "pods": "1", "cpu": "100m", "requests.cpu": "100m", "limits.cpu": "1", "memory": "1Gi", "requests.memory": "1Gi",
			"requests.example.com/gpu": "2", "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi"}},
		"a finished pod":            {core("pods"), finished, map[string]string{"count/pods": "1"}},
		"a pod that should be gone": {core("pods"), late, map[string]string{"count/pods": "1"}},
		"a claim": {core("persistentvolumeclaims"), &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{Requests: list("storage", "3Gi")}}}, map[string]string{
			"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1", "requests.storage": "3Gi",
			"fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1", "fast.storageclass.storage.k8s.io/requests.storage": "3Gi"}},
		"a service with node ports": {core("services"), &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: make([]corev1.ServicePort, 2)}},
			map[string]string{"count/services": "1", "services": "1", "services.nodeports": "2"}},
		"a load balancer without": {core("services"), &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: &no,
			Ports: []corev1.ServicePort{{NodePort: 30000}, {}}}}, map[string]string{"count/services": "1", "services": "1", "services.loadbalancers": "1", "services.nodeports": "1"}},
		"a secret":     {core("secrets"), &corev1.Secret{}, map[string]string{"count/secrets": "1", "secrets": "1"}},
		"a deployment": {schema.GroupResource{Group: "apps", Resource: "deployments"}, &corev1.Secret{}, map[string]string{"count/deployments.apps": "1"}},
		"devices": {schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceclaims"}, &resourcev1.ResourceClaim{Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{
			Requests: []resourcev1.DeviceRequest{
				{Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "a", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 2}},
				{FirstAvailable: []resourcev1.DeviceSubRequest{{DeviceClassName: "a", Count: 1}, {DeviceClassName: "a", Count: 3}, {DeviceClassName: "b", AllocationMode: resourcev1.DeviceAllocationModeAll}}},
			}}}}, map[string]string{"count/resourceclaims.resource.k8s.io": "1", "a.deviceclass.resource.k8s.io/devices": "5", "b.deviceclass.resource.k8s.io/devices": "32"}},
	} {
		got := Usage(c.gr, c.obj, now)
		if diff := cmp.Diff(c.want, amounts(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		for used := range got {
			if !Covers(used, c.gr) {
				t.Errorf("%s uses %s, which is said to be about other kinds", name, used)
			}
		}
	}
}

func TestScopes(t *testing.T) {
	deadline := int64(10)
	bounded, classy, far := pod(list("cpu", "1"), nil), pod(nil, nil), pod(nil, nil)
	bounded.Spec.ActiveDeadlineSeconds = &deadline
	classy.Spec.PriorityClassName = "high"
	far.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
		{PodAffinityTerm: corev1.PodAffinityTerm{Namespaces: []string{"other"}}}}}}
	gold := "gold"
	claim := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{VolumeAttributesClassName: &gold}}
	for _, c := range []struct {
		scope  corev1.ResourceQuotaScope
		op     corev1.ScopeSelectorOperator
		values []string
		obj    api.Object
		want   bool
	}{
		{"Terminating", "Exists", nil, bounded, true},
		{"Terminating", "Exists", nil, classy, false},
		{"NotTerminating", "Exists", nil, bounded, false},
		{"BestEffort", "Exists", nil, bounded, false},
		{"BestEffort", "Exists", nil, classy, true},
		{"NotBestEffort", "Exists", nil, bounded, true},
		{"PriorityClass", "Exists", nil, classy, true},
		{"PriorityClass", "DoesNotExist", nil, classy, false},
		{"PriorityClass", "In", []string{"high", "low"}, classy, true},
		{"PriorityClass", "NotIn", []string{"high"}, classy, false},
		{"PriorityClass", "NotIn", []string{"high"}, bounded, true},
		{"CrossNamespacePodAffinity", "Exists", nil, far, true},
		{"CrossNamespacePodAffinity", "Exists", nil, bounded, false},
		{"VolumeAttributesClass", "In", []string{"gold"}, claim, true},
		{"VolumeAttributesClass", "In", []string{"lead"}, claim, false},
		{"Terminating", "Exists", nil, claim, false},
		{"Terminating", "Exists", nil, &corev1.Secret{}, false},
	} {
		q := &corev1.ResourceQuotaSpec{ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
			{ScopeName: c.scope, Operator: c.op, Values: c.values}}}}
		if got := InScope(q, c.obj); got != c.want {
			t.Errorf("%s %s %v of %T: %t", c.scope, c.op, c.values, c.obj, got)
		}
	}
}

func TestContainersHaveToGiveAmounts(t *testing.T) {
	p := pod(list("cpu", "1"), nil)
	p.Spec.InitContainers = []corev1.Container{{Name: "a"}}
	err := Missing(list("requests.cpu", "1", "memory", "1Gi", "limits.cpu", "1", "pods", "3", "ephemeral-storage", "1"), p)
	if err == nil || err.Error() != "must specify limits.cpu for: a,c; memory for: a,c; requests.cpu for: a" {
		t.Error(err)
	}
	if err := Missing(list("cpu", "1"), pod(list("cpu", "1"), nil)); err != nil {
		t.Error(err)
	}
}
