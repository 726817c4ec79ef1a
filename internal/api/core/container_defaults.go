package core

import (
	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/api/optional"
)

func defaultContainer(c *corev1.Container) {
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = pullPolicyOf(c.Image)
	}
	orSet(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	orSet(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		orSet(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		defaultEnv(&c.Env[i])
	}
	roundResources(c.Resources.Limits)
	roundResources(c.Resources.Requests)
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultProbe(p)
	}
	if l := c.Lifecycle; l != nil {
		for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if h != nil {
				defaultHTTPGet(h.HTTPGet)
			}
		}
	}
}

// pullPolicyOf is Always for an image without tag and digest or with the tag
// latest, and IfNotPresent for all others, unreadable names included.
func pullPolicyOf(image string) corev1.PullPolicy {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return corev1.PullIfNotPresent
	}
	tagged, ok := reference.TagNameOnly(named).(reference.Tagged)
	if ok && tagged.Tag() == "latest" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func defaultEnv(e *corev1.EnvVar) {
	if e.ValueFrom == nil {
		return
	}
	defaultFieldRef(e.ValueFrom.FieldRef)
	defaultDivisor(e.ValueFrom.ResourceFieldRef)
	if f := e.ValueFrom.FileKeyRef; f != nil {
		optional.Default(&f.Optional, false)
	}
}

func defaultFieldRef(f *corev1.ObjectFieldSelector) {
	if f != nil {
		orSet(&f.APIVersion, version)
	}
}

// defaultDivisor makes an unset divisor the zero that it reads as, so that
// writing back what was read changes nothing.
func defaultDivisor(r *corev1.ResourceFieldSelector) {
	if r != nil && r.Divisor == (resource.Quantity{}) {
		r.Divisor = *resource.NewQuantity(0, resource.DecimalSI)
	}
}

func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	orSet(&p.TimeoutSeconds, 1)
	orSet(&p.PeriodSeconds, 10)
	orSet(&p.SuccessThreshold, 1)
	orSet(&p.FailureThreshold, 3)
	defaultHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		optional.Default(&p.GRPC.Service, "")
	}
}

func defaultHTTPGet(h *corev1.HTTPGetAction) {
	if h == nil {
		return
	}
	orSet(&h.Path, "/")
	orSet(&h.Scheme, corev1.URISchemeHTTP)
}
