package upstream

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/apps/controllerrevision"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/certificates/certificates"
	"k8s.io/kubernetes/pkg/registry/coordination/lease"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/endpoint"
	"k8s.io/kubernetes/pkg/registry/core/event"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/node"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/podtemplate"
	"k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/discovery/endpointslice"
	"k8s.io/kubernetes/pkg/registry/flowcontrol/flowschema"
	"k8s.io/kubernetes/pkg/registry/flowcontrol/prioritylevelconfiguration"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/ingressclass"
	"k8s.io/kubernetes/pkg/registry/networking/ipaddress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/networking/servicecidr"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/resource/deviceclass"
	"k8s.io/kubernetes/pkg/registry/resource/resourceclaim"
	"k8s.io/kubernetes/pkg/registry/resource/resourceclaimtemplate"
	"k8s.io/kubernetes/pkg/registry/resource/resourceslice"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	"k8s.io/kubernetes/pkg/registry/storage/csidriver"
	"k8s.io/kubernetes/pkg/registry/storage/csinode"
	"k8s.io/kubernetes/pkg/registry/storage/csistoragecapacity"
	"k8s.io/kubernetes/pkg/registry/storage/storageclass"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattachment"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattributesclass"
)

// Strategy is how upstream's server treats writes of one kind.
type Strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

// Kind is a kind with upstream's strategies for it.
type Kind struct {
	GVK  schema.GroupVersionKind
	Main Strategy
	// Subresources are the strategies of status and of other endpoints that
	// write the same object.
	Subresources map[string]rest.RESTUpdateStrategy
}

type subresources = map[string]rest.RESTUpdateStrategy

func kind(apiVersion, name string, main Strategy, subs subresources) Kind {
	return Kind{GVK: schema.FromAPIVersionAndKind(apiVersion, name), Main: main, Subresources: subs}
}

// Kinds are all kinds that the oracle knows.
func Kinds() []Kind {
	var out []Kind
	out = append(out, workloadKinds()...)
	out = append(out, clusterKinds()...)
	out = append(out, coreKinds()...)
	out = append(out, resourceKinds()...)
	out = append(out, admissionKinds()...)
	return out
}

func workloadKinds() []Kind {
	return []Kind{
		kind("apps/v1", "ControllerRevision", controllerrevision.Strategy, nil),
		kind("apps/v1", "DaemonSet", daemonset.Strategy, subresources{"status": daemonset.StatusStrategy}),
		kind("apps/v1", "Deployment", deployment.Strategy, subresources{"status": deployment.StatusStrategy}),
		kind("apps/v1", "ReplicaSet", replicaset.Strategy, subresources{"status": replicaset.StatusStrategy}),
		kind("apps/v1", "StatefulSet", statefulset.Strategy, subresources{"status": statefulset.StatusStrategy}),
		kind("autoscaling/v1", "HorizontalPodAutoscaler", horizontalpodautoscaler.Strategy, subresources{"status": horizontalpodautoscaler.StatusStrategy}),
		kind("autoscaling/v2", "HorizontalPodAutoscaler", horizontalpodautoscaler.Strategy, subresources{"status": horizontalpodautoscaler.StatusStrategy}),
		kind("batch/v1", "CronJob", cronjob.Strategy, subresources{"status": cronjob.StatusStrategy}),
		kind("batch/v1", "Job", job.Strategy, subresources{"status": job.StatusStrategy}),
		kind("policy/v1", "PodDisruptionBudget", poddisruptionbudget.Strategy, subresources{"status": poddisruptionbudget.StatusStrategy}),
	}
}

func clusterKinds() []Kind {
	return []Kind{
		kind("certificates.k8s.io/v1", "CertificateSigningRequest", certificates.Strategy, subresources{"approval": certificates.ApprovalStrategy, "status": certificates.StatusStrategy}),
		kind("coordination.k8s.io/v1", "Lease", lease.Strategy, nil),
		kind("discovery.k8s.io/v1", "EndpointSlice", endpointslice.Strategy, nil),
		kind("events.k8s.io/v1", "Event", event.Strategy, nil),
		kind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", flowschema.Strategy, subresources{"status": flowschema.StatusStrategy}),
		kind("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", prioritylevelconfiguration.Strategy, subresources{"status": prioritylevelconfiguration.StatusStrategy}),
		kind("networking.k8s.io/v1", "Ingress", ingress.Strategy, subresources{"status": ingress.StatusStrategy}),
		kind("networking.k8s.io/v1", "IngressClass", ingressclass.Strategy, nil),
		kind("networking.k8s.io/v1", "IPAddress", ipaddress.Strategy, nil),
		kind("networking.k8s.io/v1", "NetworkPolicy", networkpolicy.Strategy, nil),
		kind("networking.k8s.io/v1", "ServiceCIDR", servicecidr.Strategy, subresources{"status": servicecidr.StatusStrategy}),
		kind("node.k8s.io/v1", "RuntimeClass", runtimeclass.Strategy, nil),
		kind("rbac.authorization.k8s.io/v1", "ClusterRole", clusterrole.Strategy, nil),
		kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", clusterrolebinding.Strategy, nil),
		kind("rbac.authorization.k8s.io/v1", "Role", role.Strategy, nil),
		kind("rbac.authorization.k8s.io/v1", "RoleBinding", rolebinding.Strategy, nil),
		kind("scheduling.k8s.io/v1", "PriorityClass", priorityclass.Strategy, nil),
		kind("storage.k8s.io/v1", "CSIDriver", csidriver.Strategy, nil),
		kind("storage.k8s.io/v1", "CSINode", csinode.Strategy, nil),
		kind("storage.k8s.io/v1", "CSIStorageCapacity", csistoragecapacity.Strategy, nil),
		kind("storage.k8s.io/v1", "StorageClass", storageclass.Strategy, nil),
		kind("storage.k8s.io/v1", "VolumeAttachment", volumeattachment.Strategy, subresources{"status": volumeattachment.StatusStrategy}),
		kind("storage.k8s.io/v1", "VolumeAttributesClass", volumeattributesclass.Strategy, nil),
	}
}

func coreKinds() []Kind {
	return []Kind{
		kind("v1", "ConfigMap", configmap.Strategy, nil),
		kind("v1", "Endpoints", endpoint.Strategy, nil),
		kind("v1", "Event", event.Strategy, nil),
		kind("v1", "LimitRange", limitrange.Strategy, nil),
		kind("v1", "Namespace", namespace.Strategy, subresources{"finalize": namespace.FinalizeStrategy, "status": namespace.StatusStrategy}),
		kind("v1", "Node", node.Strategy, subresources{"status": node.StatusStrategy}),
		kind("v1", "PersistentVolume", persistentvolume.Strategy, subresources{"status": persistentvolume.StatusStrategy}),
		kind("v1", "PersistentVolumeClaim", persistentvolumeclaim.Strategy, subresources{"status": persistentvolumeclaim.StatusStrategy}),
		kind("v1", "Pod", pod.Strategy, subresources{"ephemeralcontainers": pod.EphemeralContainersStrategy, "resize": pod.ResizeStrategy, "status": pod.StatusStrategy}),
		kind("v1", "PodTemplate", podtemplate.Strategy, nil),
		kind("v1", "ReplicationController", replicationcontroller.Strategy, subresources{"status": replicationcontroller.StatusStrategy}),
		kind("v1", "ResourceQuota", resourcequota.Strategy, subresources{"status": resourcequota.StatusStrategy}),
		kind("v1", "Secret", secret.Strategy, nil),
		kind("v1", "Service", service.Strategy, subresources{"status": service.StatusStrategy}),
		kind("v1", "ServiceAccount", serviceaccount.Strategy, nil),
	}
}

func resourceKinds() []Kind {
	claim := resourceclaim.NewStrategy(namespaces{}, allow{})
	return []Kind{
		kind("resource.k8s.io/v1", "DeviceClass", deviceclass.Strategy, nil),
		kind("resource.k8s.io/v1", "ResourceClaim", claim, subresources{"status": resourceclaim.NewStatusStrategy(claim)}),
		kind("resource.k8s.io/v1", "ResourceClaimTemplate", resourceclaimtemplate.NewStrategy(namespaces{}), nil),
		kind("resource.k8s.io/v1", "ResourceSlice", resourceslice.Strategy, nil),
	}
}

func admissionKinds() []Kind {
	policy := validatingadmissionpolicy.NewStrategy(allow{}, resources{})
	return []Kind{
		kind("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", mutatingwebhookconfiguration.Strategy, nil),
		kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", validatingwebhookconfiguration.Strategy, nil),
		kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", policy, subresources{"status": validatingadmissionpolicy.NewStatusStrategy(policy)}),
		kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", validatingadmissionpolicybinding.NewStrategy(allow{}, validatingPolicies{}, resources{}), nil),
		kind("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", mutatingadmissionpolicy.NewStrategy(allow{}, resources{}), nil),
		kind("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding", mutatingadmissionpolicybinding.NewStrategy(allow{}, mutatingPolicies{}, resources{}), nil),
	}
}
