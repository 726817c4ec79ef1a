package quota

import (
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	storageClassInfix = ".storageclass.storage.k8s.io/"
	deviceClassSuffix = ".deviceclass.resource.k8s.io/devices"
	// mostDevices is what a request for all devices counts as: the most that a
	// claim can be given.
	mostDevices = resourcev1.AllocationResultsMaxSize
)

// addClaim adds the storage that a claim asks for, or was given where that is
// more.
func addClaim(out corev1.ResourceList, claim *corev1.PersistentVolumeClaim) {
	class := claim.Annotations[corev1.BetaStorageClassAnnotation]
	if class == "" && claim.Spec.StorageClassName != nil {
		class = *claim.Spec.StorageClassName
	}
	if class != "" {
		out[corev1.ResourceName(class+storageClassInfix)+corev1.ResourcePersistentVolumeClaims] = one()
	}
	size, asked := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if !asked {
		return
	}
	if given, has := claim.Status.AllocatedResources[corev1.ResourceStorage]; has && given.Cmp(size) > 0 {
		size = given
	}
	size = size.DeepCopy()
	size.RoundUp(resource.Scale(0))
	out[corev1.ResourceRequestsStorage] = size
	if class != "" {
		out[corev1.ResourceName(class+storageClassInfix)+corev1.ResourceRequestsStorage] = size
	}
}

// addService adds the load balancer and the node ports that a service takes.
func addService(out corev1.ResourceList, s *corev1.Service) {
	ports := len(s.Spec.Ports)
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		out[corev1.ResourceServicesNodePorts] = count(ports)
	case corev1.ServiceTypeLoadBalancer:
		out[corev1.ResourceServicesLoadBalancers] = one()
		if allocate := s.Spec.AllocateLoadBalancerNodePorts; allocate != nil && !*allocate {
			ports = 0
			for i := range s.Spec.Ports {
				if s.Spec.Ports[i].NodePort != 0 {
					ports++
				}
			}
		}
		out[corev1.ResourceServicesNodePorts] = count(ports)
	}
}

// addDevices adds the devices that a claim asks for, by their class. Of
// alternatives the largest of each class counts, as any may be taken.
func addDevices(out corev1.ResourceList, claim *resourcev1.ResourceClaim) {
	for i := range claim.Spec.Devices.Requests {
		r := &claim.Spec.Devices.Requests[i]
		most := corev1.ResourceList{}
		if r.Exactly != nil {
			most[deviceName(r.Exactly.DeviceClassName)] = devices(r.Exactly.AllocationMode, r.Exactly.Count)
		}
		for j := range r.FirstAvailable {
			sub := &r.FirstAvailable[j]
			most = Max(most, corev1.ResourceList{deviceName(sub.DeviceClassName): devices(sub.AllocationMode, sub.Count)})
		}
		Add(out, most)
	}
}

func deviceName(class string) corev1.ResourceName {
	return corev1.ResourceName(class + deviceClassSuffix)
}

func devices(mode resourcev1.DeviceAllocationMode, n int64) resource.Quantity {
	if mode == resourcev1.DeviceAllocationModeAll {
		n = mostDevices
	}
	return *resource.NewQuantity(n, resource.DecimalSI)
}
