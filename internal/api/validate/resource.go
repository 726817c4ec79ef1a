package validate

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// NonNegativeQuantity refuses amounts below zero.
func NonNegativeQuantity(q resource.Quantity, path *field.Path) field.ErrorList {
	if q.Sign() >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, q.String(), apimachinery.IsNegativeErrorMsg)}
}

// PositiveQuantity refuses zero and amounts below.
func PositiveQuantity(q resource.Quantity, path *field.Path) field.ErrorList {
	if q.Sign() > 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, q.String(), "must be greater than zero")}
}

// ResourceQuantity checks the amount of a named resource: not negative, and
// whole where the resource is counted.
func ResourceQuantity(name corev1.ResourceName, q resource.Quantity, path *field.Path) field.ErrorList {
	errs := NonNegativeQuantity(q, path)
	if counted(name) && q.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, q, "must be an integer"))
	}
	return errs
}

// ResourceName checks the name of a resource as quotas and limit ranges of
// unknown types take it.
func ResourceName(name string, path *field.Path) field.ErrorList {
	errs := QualifiedName(name, path)
	if len(errs) == 0 && !strings.Contains(name, "/") && !standardResource(name) {
		errs = append(errs, field.Invalid(path, name, "must be a standard resource type or fully qualified"))
	}
	return errs
}

// ContainerResourceName checks the name of a resource in a container's
// requests and limits.
func ContainerResourceName(name string, path *field.Path) field.ErrorList {
	errs := ResourceName(name, path)
	switch {
	case !strings.Contains(name, "/"):
		if !containerResources.Has(name) && !hugePages(name) {
			errs = append(errs, field.Invalid(path, name, "must be a standard resource for containers"))
		}
	case !nativeResource(name) && !extendedResource(corev1.ResourceName(name)):
		errs = append(errs, field.Invalid(path, name, "doesn't follow extended resource name standard"))
	}
	return errs
}

// QuotaResourceName checks the name of a resource that a quota limits.
func QuotaResourceName(name string, path *field.Path) field.ErrorList {
	errs := ResourceName(name, path)
	if !strings.Contains(name, "/") && !quotaResources.Has(name) && !hugePages(strings.TrimPrefix(name, requestsPrefix)) {
		errs = append(errs, field.Invalid(path, name, "must be a standard resource for quota"))
	}
	return errs
}

// StandardQuotaResource tells whether quotas know the resource as one of
// Kubernetes' own.
func StandardQuotaResource(name corev1.ResourceName) bool {
	return quotaResources.Has(string(name)) || hugePages(strings.TrimPrefix(string(name), requestsPrefix))
}

// extendedResource tells whether the resource is one of a vendor: a name with
// a domain of its own that also makes a valid quota name.
func extendedResource(name corev1.ResourceName) bool {
	if nativeResource(string(name)) || strings.HasPrefix(string(name), requestsPrefix) {
		return false
	}
	return len(validation.IsQualifiedName(requestsPrefix+string(name))) == 0
}

// OvercommitAllowed tells whether limits of the resource may exceed requests.
func OvercommitAllowed(name corev1.ResourceName) bool {
	return nativeResource(string(name)) && !hugePages(string(name))
}

const requestsPrefix = corev1.DefaultResourceRequestsPrefix

func nativeResource(name string) bool {
	return !strings.Contains(name, "/") || strings.Contains(name, corev1.ResourceDefaultNamespacePrefix)
}

func hugePages(name string) bool { return strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) }

func counted(name corev1.ResourceName) bool {
	return countedResources.Has(string(name)) || extendedResource(name)
}

func standardResource(name string) bool {
	return quotaResources.Has(name) || name == string(corev1.ResourceStorage) ||
		hugePages(strings.TrimPrefix(name, requestsPrefix))
}

// The sets below are constants of the API.
var (
	containerResources = sets.New(
		string(corev1.ResourceCPU), string(corev1.ResourceMemory), string(corev1.ResourceEphemeralStorage))
	countedResources = sets.New(
		string(corev1.ResourcePods), string(corev1.ResourceQuotas), string(corev1.ResourceServices),
		string(corev1.ResourceReplicationControllers), string(corev1.ResourceSecrets), string(corev1.ResourceConfigMaps),
		string(corev1.ResourcePersistentVolumeClaims), string(corev1.ResourceServicesNodePorts),
		string(corev1.ResourceServicesLoadBalancers))
	quotaResources = containerResources.Union(countedResources).Insert(
		string(corev1.ResourceRequestsCPU), string(corev1.ResourceRequestsMemory), string(corev1.ResourceRequestsStorage),
		string(corev1.ResourceRequestsEphemeralStorage), string(corev1.ResourceLimitsCPU),
		string(corev1.ResourceLimitsMemory), string(corev1.ResourceLimitsEphemeralStorage))
)
