package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// podSpec checks a whole spec. Errors come in the order in which upstream
// gives them, since that order is part of the message.
func (p *podCheck) podSpec(path *field.Path) field.ErrorList {
	s := p.spec
	errs := requiredIf(s.TerminationGracePeriodSeconds == nil, path.Child("terminationGracePeriodSeconds"))
	errs = append(errs, p.checkVolumes(path.Child("volumes"))...)
	errs = append(errs, p.resourceClaims(path.Child("resourceClaims"))...)
	errs = append(errs, p.containers(path.Child("containers"))...)
	errs = append(errs, p.initContainers(path.Child("initContainers"))...)
	errs = append(errs, p.ephemeralContainers(path.Child("ephemeralContainers"))...)
	errs = append(errs, p.podResources(path.Child("resources"))...)
	errs = append(errs, p.hostNetwork(path)...)
	errs = append(errs, requiredInOrder(s.RestartPolicy, path.Child("restartPolicy"),
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, requiredInOrder(s.DNSPolicy, path.Child("dnsPolicy"),
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, validate.Labels(s.NodeSelector, path.Child("nodeSelector"))...)
	errs = append(errs, p.security(path.Child("securityContext"))...)
	errs = append(errs, affinity(s.Affinity, path.Child("affinity"))...)
	errs = append(errs, p.dns(path.Child("dnsConfig"))...)
	errs = append(errs, readinessGates(s.ReadinessGates, path.Child("readinessGates"))...)
	errs = append(errs, schedulingGates(s.SchedulingGates, path.Child("schedulingGates"))...)
	errs = append(errs, p.topologySpread(path.Child("topologySpreadConstraints"))...)
	errs = append(errs, p.hostProcess(path)...)
	errs = append(errs, p.hostUsers(path)...)
	errs = append(errs, p.hostnameOverride(path.Child("hostnameOverride"))...)
	errs = append(errs, p.names(path)...)
	errs = append(errs, tolerations(s.Tolerations, path.Child("tolerations"))...)
	errs = append(errs, p.hostAliases(path.Child("hostAliases"))...)
	errs = append(errs, optionalName(s.PriorityClassName, path.Child("priorityClassName"))...)
	if s.RuntimeClassName != nil {
		errs = append(errs, validate.Name(validate.Subdomain, *s.RuntimeClassName, path.Child("runtimeClassName"))...)
	}
	if s.PreemptionPolicy != nil {
		errs = append(errs, requiredInOrder(*s.PreemptionPolicy, path.Child("preemptionPolicy"),
			corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	errs = append(errs, p.overhead(path.Child("overhead"))...)
	errs = append(errs, p.operatingSystem(path)...)
	return append(errs, p.fileKeyVolumes(path)...)
}

func optionalName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return nil
	}
	return validate.Name(validate.Subdomain, name, path)
}

// names checks the names that a pod takes or refers to.
func (p *podCheck) names(path *field.Path) field.ErrorList {
	s := p.spec
	errs := optionalName(s.ServiceAccountName, path.Child("serviceAccountName"))
	errs = append(errs, optionalName(s.NodeName, path.Child("nodeName"))...)
	if d := s.ActiveDeadlineSeconds; d != nil {
		errs = append(errs, validate.InRange(*d, 1, 1<<31-1, path.Child("activeDeadlineSeconds"))...)
	}
	if s.Hostname != "" {
		errs = append(errs, validate.DNS1123Label(s.Hostname, path.Child("hostname"))...)
	}
	if s.Subdomain != "" {
		errs = append(errs, validate.DNS1123Label(s.Subdomain, path.Child("subdomain"))...)
	}
	return errs
}

func (p *podCheck) resourceClaims(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	p.claims = names
	for i := range p.spec.ResourceClaims {
		c, at := &p.spec.ResourceClaims[i], path.Index(i)
		if p.isStatic() {
			errs = append(errs, field.Forbidden(field.NewPath(""), "static pods do not support resource claims"))
			names.Insert(c.Name)
			continue
		}
		switch {
		case c.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case names.Has(c.Name):
			errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
		default:
			errs = append(errs, validate.DNS1123Label(c.Name, at.Child("name"))...)
			names.Insert(c.Name)
		}
		switch {
		case c.ResourceClaimName != nil && c.ResourceClaimTemplateName != nil:
			errs = append(errs, field.Invalid(at, validate.Shown(c),
				"at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
		case c.ResourceClaimName == nil && c.ResourceClaimTemplateName == nil:
			errs = append(errs, field.Invalid(at, validate.Shown(c),
				"must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
		}
		errs = append(errs, claimName(c.ResourceClaimName, at.Child("resourceClaimName"))...)
		errs = append(errs, claimName(c.ResourceClaimTemplateName, at.Child("resourceClaimTemplateName"))...)
	}
	return errs
}

func claimName(name *string, path *field.Path) field.ErrorList {
	if name == nil {
		return nil
	}
	return validate.Name(validate.Subdomain, *name, path)
}

// podResources checks resources of the pod as a whole (KEP-2837).
func (p *podCheck) podResources(path *field.Path) field.ErrorList {
	r := p.spec.Resources
	if r == nil {
		return nil
	}
	if p.spec.OS != nil && p.spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(path, "may not be set for a windows pod")}
	}
	errs := forbidden(len(r.Claims) > 0, path.Child("claims"), "claims may not be set for Resources at pod-level")
	errs = append(errs, p.resourceRequirements(r, path, podResourceName)...)
	return append(errs, p.podResourceSums(r, path)...)
}

func (p *podCheck) overhead(path *field.Path) field.ErrorList {
	if len(p.spec.Overhead) == 0 {
		return nil
	}
	return ValidateOverhead(p.spec.Overhead, path)
}

// ValidateOverhead checks a pod's overhead as the limits that it amounts to,
// and its errors say so.
func ValidateOverhead(overhead corev1.ResourceList, path *field.Path) field.ErrorList {
	return new(podCheck).containerResources(&corev1.ResourceRequirements{Limits: overhead}, path)
}

func readinessGates(gates []corev1.PodReadinessGate, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, g := range gates {
		errs = append(errs, validate.QualifiedName(string(g.ConditionType), path.Index(i).Child("conditionType"))...)
	}
	return errs
}

func schedulingGates(gates []corev1.PodSchedulingGate, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, g := range gates {
		errs = append(errs, validate.QualifiedName(g.Name, path.Index(i))...)
		if seen.Has(g.Name) {
			errs = append(errs, field.Duplicate(path.Index(i), g.Name))
		}
		seen.Insert(g.Name)
	}
	return errs
}

// fileKeyVolumes checks that environment files come from emptyDir volumes of
// the pod.
func (p *podCheck) fileKeyVolumes(path *field.Path) field.ErrorList {
	volumes := map[string]*corev1.VolumeSource{} // those that are wrong too
	for i := range p.spec.Volumes {
		volumes[p.spec.Volumes[i].Name] = &p.spec.Volumes[i].VolumeSource
	}
	var errs field.ErrorList
	check := func(env []corev1.EnvVar, at *field.Path) {
		for i := range env {
			src := env[i].ValueFrom
			if src == nil || src.FileKeyRef == nil {
				continue
			}
			name := at.Index(i).Child("valueFrom", "fileKeyRef", "volumeName")
			switch v := volumes[src.FileKeyRef.VolumeName]; {
			case v == nil:
				errs = append(errs, field.NotFound(name, src.FileKeyRef.VolumeName))
			case v.EmptyDir == nil:
				errs = append(errs, field.Invalid(name, src.FileKeyRef.VolumeName, "referenced volume must be of type emptyDir"))
			}
		}
	}
	for i := range p.spec.InitContainers {
		check(p.spec.InitContainers[i].Env, path.Child("initContainers").Index(i).Child("env"))
	}
	for i := range p.spec.Containers {
		check(p.spec.Containers[i].Env, path.Child("containers").Index(i).Child("env"))
	}
	for i := range p.spec.EphemeralContainers {
		check(p.spec.EphemeralContainers[i].Env, path.Child("ephemeralContainers").Index(i).Child("env"))
	}
	return errs
}
