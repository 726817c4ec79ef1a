package core

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func endpointsKind() *api.Kind {
	return api.Spec[*corev1.Endpoints]{
		Version: version, Name: "Endpoints", Resource: "endpoints", Singular: "endpoints",
		ShortNames: []string{"ep"},
		Namespaced: true,
		New:        func() *corev1.Endpoints { return &corev1.Endpoints{} },
		NewList:    func() runtime.Object { return &corev1.EndpointsList{} },
		Main: api.RulesOf[*corev1.Endpoints]{
			Default:        defaultEndpoints,
			Validate:       func(e *corev1.Endpoints) field.ErrorList { return validateEndpoints(e, nil) },
			ValidateUpdate: validateEndpoints,
			MetaAgain:      true,
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("Endpoints", column.Doc(corev1.Endpoints{}, "subsets")),
			column.Age(),
		},
		Row: func(e *corev1.Endpoints, now time.Time) []any {
			return []any{e.Name, endpointsText(e.Subsets), column.Since(e.CreationTimestamp, now)}
		},
		UnconditionalUpdate: true,
		CreateOnUpdate:      true,
		Deprecated:          "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
	}.Kind()
}

func defaultEndpoints(e *corev1.Endpoints) {
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			orSet(&e.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
		}
	}
}

// maxShownEndpoints is how many addresses a table names.
const maxShownEndpoints = 3

func endpointsText(subsets []corev1.EndpointSubset) string {
	if len(subsets) == 0 {
		return column.None
	}
	var shown []string
	total := 0
	add := func(text string) {
		if total++; total <= maxShownEndpoints {
			shown = append(shown, text)
		}
	}
	for _, s := range subsets {
		if len(s.Ports) == 0 {
			for _, a := range s.Addresses {
				add(a.IP)
			}
		}
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				add(net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	text := strings.Join(shown, ",")
	if total > maxShownEndpoints {
		text += fmt.Sprintf(" + %d more...", total-maxShownEndpoints)
	}
	return text
}

func validateEndpoints(e, old *corev1.Endpoints) field.ErrorList {
	if old != nil && apiequality.Semantic.DeepEqual(e.Subsets, old.Subsets) {
		return nil
	}
	before := endpointAddresses(old)
	var errs field.ErrorList
	for i := range e.Subsets {
		s, at := &e.Subsets[i], field.NewPath("subsets").Index(i)
		if len(s.Addresses) == 0 && len(s.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(at, "must specify `addresses` or `notReadyAddresses`"))
		}
		for j := range s.Addresses {
			errs = append(errs, endpointAddress(&s.Addresses[j], before, at.Child("addresses").Index(j))...)
		}
		for j := range s.NotReadyAddresses {
			errs = append(errs, endpointAddress(&s.NotReadyAddresses[j], before, at.Child("notReadyAddresses").Index(j))...)
		}
		for j := range s.Ports {
			errs = append(errs, endpointPort(&s.Ports[j], len(s.Ports) > 1, at.Child("ports").Index(j))...)
		}
	}
	return errs
}

func endpointAddresses(e *corev1.Endpoints) []string {
	if e == nil {
		return nil
	}
	var out []string
	for _, s := range e.Subsets {
		for _, a := range append(s.Addresses[:len(s.Addresses):len(s.Addresses)], s.NotReadyAddresses...) {
			out = append(out, a.IP)
		}
	}
	return out
}

func endpointAddress(a *corev1.EndpointAddress, before []string, path *field.Path) field.ErrorList {
	errs := validate.IP(a.IP, path.Child("ip"), before...)
	if a.Hostname != "" {
		errs = append(errs, validate.DNS1123Label(a.Hostname, path.Child("hostname"))...)
	}
	if a.NodeName != nil {
		errs = append(errs, validate.Name(validate.Subdomain, *a.NodeName, path.Child("nodeName"))...)
	}
	return append(errs, validate.OrdinaryIP(a.IP, path.Child("ip"))...)
}

func endpointPort(p *corev1.EndpointPort, named bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.Name != "" {
		errs = append(errs, validate.DNS1123Label(p.Name, path.Child("name"))...)
	} else if named {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	errs = append(errs, validate.Port(int(p.Port), path.Child("port"))...)
	errs = append(errs, validate.RequiredOneOf(p.Protocol, path.Child("protocol"),
		corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
	if p.AppProtocol != nil {
		errs = append(errs, validate.QualifiedName(*p.AppProtocol, path.Child("appProtocol"))...)
	}
	return errs
}
