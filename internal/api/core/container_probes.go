package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// handler is what lifecycle hooks and probes have in common.
type handler struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func (p *podCheck) lifecycleAndProbes(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if l := c.Lifecycle; l != nil {
		errs = append(errs, p.hook(l.PostStart, path.Child("lifecycle", "postStart"))...)
		errs = append(errs, p.hook(l.PreStop, path.Child("lifecycle", "preStop"))...)
	}
	errs = append(errs, p.probe(c.LivenessProbe, path.Child("livenessProbe"), onceSucceeding)...)
	errs = append(errs, p.probe(c.ReadinessProbe, path.Child("readinessProbe"), withoutGrace)...)
	return append(errs, p.probe(c.StartupProbe, path.Child("startupProbe"), onceSucceeding)...)
}

func (p *podCheck) hook(h *corev1.LifecycleHandler, path *field.Path) field.ErrorList {
	if h == nil {
		return nil
	}
	return p.handler(handler{exec: h.Exec, http: h.HTTPGet, tcp: h.TCPSocket, sleep: h.Sleep}, path)
}

func onceSucceeding(p *corev1.Probe, path *field.Path) field.ErrorList {
	if p.SuccessThreshold == 1 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1")}
}

func withoutGrace(p *corev1.Probe, path *field.Path) field.ErrorList {
	if p.TerminationGracePeriodSeconds == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("terminationGracePeriodSeconds"),
		*p.TerminationGracePeriodSeconds, "must not be set for readinessProbes")}
}

func (p *podCheck) probe(
	probe *corev1.Probe, path *field.Path, own func(*corev1.Probe, *field.Path) field.ErrorList,
) field.ErrorList {
	if probe == nil {
		return nil
	}
	h := handler{exec: probe.Exec, http: probe.HTTPGet, tcp: probe.TCPSocket, grpc: probe.GRPC}
	errs := p.handler(h, path)
	errs = append(errs, validate.NonNegative(probe.InitialDelaySeconds, path.Child("initialDelaySeconds"))...)
	errs = append(errs, validate.NonNegative(probe.TimeoutSeconds, path.Child("timeoutSeconds"))...)
	errs = append(errs, validate.NonNegative(probe.PeriodSeconds, path.Child("periodSeconds"))...)
	errs = append(errs, validate.NonNegative(probe.SuccessThreshold, path.Child("successThreshold"))...)
	errs = append(errs, validate.NonNegative(probe.FailureThreshold, path.Child("failureThreshold"))...)
	if s := probe.TerminationGracePeriodSeconds; s != nil && *s <= 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *s, "must be greater than 0"))
	}
	return append(errs, own(probe, path)...)
}

// handler wants exactly one way of acting: the first one set is checked, any
// further is refused.
func (p *podCheck) handler(h handler, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	count := 0
	one := func(set bool, name string, check func(*field.Path) field.ErrorList) {
		switch {
		case !set:
			return
		case count > 0:
			errs = append(errs, field.Forbidden(path.Child(name), "may not specify more than 1 handler type"))
		default:
			errs = append(errs, check(path.Child(name))...)
		}
		count++
	}
	one(h.exec != nil, "exec", func(at *field.Path) field.ErrorList {
		return requiredIf(len(h.exec.Command) == 0, at.Child("command"))
	})
	one(h.http != nil, "httpGet", func(at *field.Path) field.ErrorList { return httpGet(h.http, at) })
	one(h.tcp != nil, "tcpSocket", func(at *field.Path) field.ErrorList {
		return validate.PortOrName(h.tcp.Port, at.Child("port"))
	})
	one(h.grpc != nil, "grpc", func(at *field.Path) field.ErrorList {
		return validate.Port(int(h.grpc.Port), at.Child("port"))
	})
	one(h.sleep != nil, "sleep", func(at *field.Path) field.ErrorList { return p.sleep(h.sleep.Seconds, at) })
	if count == 0 {
		errs = append(errs, field.Required(path, "must specify a handler type"))
	}
	return errs
}

func requiredIf(missing bool, path *field.Path) field.ErrorList {
	if !missing {
		return nil
	}
	return field.ErrorList{field.Required(path, "")}
}

func httpGet(h *corev1.HTTPGetAction, path *field.Path) field.ErrorList {
	errs := requiredIf(h.Path == "", path.Child("path"))
	errs = append(errs, validate.PortOrName(h.Port, path.Child("port"))...)
	errs = append(errs, validate.OneOf(h.Scheme, path.Child("scheme"), corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for _, header := range h.HTTPHeaders {
		errs = append(errs, validate.Each(validation.IsHTTPHeaderName(header.Name), header.Name, path.Child("httpHeaders"))...)
	}
	return errs
}

func (p *podCheck) sleep(seconds int64, path *field.Path) field.ErrorList {
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if p.spec.TerminationGracePeriodSeconds != nil {
		grace = *p.spec.TerminationGracePeriodSeconds
	}
	if seconds >= 0 && seconds <= grace {
		return nil
	}
	why := fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", grace)
	return field.ErrorList{field.Invalid(path, seconds, why)}
}
