package proxy

import (
	"net/netip"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// ending is an endpoint whose pod is being deleted and still answers.
func ending(addr string) discoveryv1.Endpoint {
	e := endpoint(addr, false)
	yes := true
	e.Conditions.Serving, e.Conditions.Terminating = &yes, &yes
	return e
}

// published is an endpoint of a Service with publishNotReadyAddresses.
func published(e discoveryv1.Endpoint) discoveryv1.Endpoint {
	yes := true
	e.Conditions.Ready = &yes
	return e
}

func TestEndingEndpointsServeOnlyInWantOfOthers(t *testing.T) {
	for _, tc := range []struct {
		name      string
		endpoints []discoveryv1.Endpoint
		targets   int
		waitsForA bool
	}{
		{"living", []discoveryv1.Endpoint{endpoint(podA, true)}, 1, true},
		{"one of two ends", []discoveryv1.Endpoint{ending(podA), endpoint(podB, true)}, 1, false},
		{"the last one ends", []discoveryv1.Endpoint{ending(podA)}, 1, false},
		{"ends, and is published whatever it is", []discoveryv1.Endpoint{published(ending(podA)), endpoint(podB, true)}, 2, false},
		{"not ready", []discoveryv1.Endpoint{endpoint(podA, false)}, 0, false},
	} {
		svc := service()
		r := RenderService(svc, []*discoveryv1.EndpointSlice{sliceOf(svc, tc.endpoints)}, Place{Node: "n1"})
		targets := 0
		for key := range r.Elements {
			if key.Set == ruleset.Targets {
				targets++
			}
		}
		if targets != tc.targets {
			t.Errorf("%s: %d targets, want %d", tc.name, targets, tc.targets)
		}
		if _, waits := r.Ready[netip.MustParseAddr(podA)]; waits != tc.waitsForA {
			t.Errorf("%s: its pod's end waits for the rules: %v, want %v", tc.name, waits, tc.waitsForA)
		}
	}
}
