// Package discovery declares the kinds of discovery.k8s.io. It holds no state.
package discovery

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// Kinds are the kinds of discovery.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{EndpointSlice()} }

// EndpointSlice is a part of the addresses behind a service.
func EndpointSlice() *api.Kind {
	slice := discoveryv1.EndpointSlice{}
	return api.Spec[*discoveryv1.EndpointSlice]{
		Group: "discovery.k8s.io", Version: "v1", Name: "EndpointSlice",
		Resource: "endpointslices", Singular: "endpointslice",
		Namespaced: true,
		New:        func() *discoveryv1.EndpointSlice { return &discoveryv1.EndpointSlice{} },
		NewList:    func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		Main:       rules(),
		Columns: []api.Column{
			column.Name(),
			column.Text("AddressType", column.Doc(slice, "addressType")),
			column.Text("Ports", column.Doc(slice, "ports")),
			column.Text("Endpoints", column.Doc(slice, "endpoints")),
			column.Age(),
		},
		Row:                 row,
		UnconditionalUpdate: true,
	}.Kind()
}

func row(s *discoveryv1.EndpointSlice, now time.Time) []any {
	return []any{
		s.Name, string(s.AddressType), ports(s.Ports), endpoints(s.Endpoints), column.Since(s.CreationTimestamp, now),
	}
}

// ports shows up to three ports; a port that is not set means all of them.
func ports(list []discoveryv1.EndpointPort) string {
	var out []string
	for _, p := range list {
		switch {
		case p.Port != nil:
			out = append(out, strconv.Itoa(int(*p.Port)))
		case p.Name != nil:
			out = append(out, *p.Name)
		default:
			out = append(out, "*")
		}
	}
	return firstThree(out)
}

func endpoints(list []discoveryv1.Endpoint) string {
	var out []string
	for _, e := range list {
		out = append(out, e.Addresses...)
	}
	return firstThree(out)
}

func firstThree(items []string) string {
	const shown = 3
	if len(items) <= shown {
		return cmp.Or(strings.Join(items, ","), "<unset>")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(items[:shown], ","), len(items)-shown)
}
