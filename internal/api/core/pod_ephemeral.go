package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (p *podCheck) ephemeralContainers(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	others, names := sets.New[string](), sets.New[string]()
	for _, c := range p.spec.Containers {
		others.Insert(c.Name)
	}
	for _, c := range p.spec.InitContainers {
		others.Insert(c.Name)
	}
	names = names.Union(others)
	for i := range p.spec.EphemeralContainers {
		e, at := &p.spec.EphemeralContainers[i], path.Index(i)
		c := corev1.Container(e.EphemeralContainerCommon)
		errs = append(errs, p.commonContainer(&c, at)...)
		errs = append(errs, imageWithoutSpace(c.Image, at.Child("image"))...)
		if names.Has(e.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), e.Name))
		}
		names.Insert(e.Name)
		if e.TargetContainerName != "" && !others.Has(e.TargetContainerName) {
			errs = append(errs, field.NotFound(at.Child("targetContainerName"), e.TargetContainerName))
		}
		errs = append(errs, ephemeralLimits(&c, at)...)
	}
	return errs
}

// ephemeralLimits refuses what a container that is added for debugging cannot
// have.
func ephemeralLimits(c *corev1.Container, at *field.Path) field.ErrorList {
	const why = "cannot be set for an Ephemeral Container"
	var errs field.ErrorList
	no := func(set bool, path *field.Path) { errs = append(errs, forbidden(set, path, why)...) }
	no(len(c.Ports) > 0, at.Child("ports"))
	no(len(c.Resources.Limits)+len(c.Resources.Requests)+len(c.Resources.Claims) > 0, at.Child("resources"))
	no(len(c.ResizePolicy) > 0, at.Child("resizePolicy"))
	no(c.RestartPolicy != nil, at.Child("restartPolicy"))
	no(len(c.RestartPolicyRules) > 0, at.Child("restartPolicyRules"))
	no(c.LivenessProbe != nil, at.Child("livenessProbe"))
	no(c.ReadinessProbe != nil, at.Child("readinessProbe"))
	no(c.StartupProbe != nil, at.Child("startupProbe"))
	no(c.Lifecycle != nil, at.Child("lifecycle"))
	for i, m := range c.VolumeMounts {
		no(m.SubPath != "", at.Child("volumeMounts").Index(i).Child("subPath"))
		no(m.SubPathExpr != "", at.Child("volumeMounts").Index(i).Child("subPathExpr"))
	}
	return errs
}
