package main

import (
	"testing"

	"github.com/knarr-io/knarr/test/oracle/campaign"
	"github.com/knarr-io/knarr/test/oracle/outcome"
)

func TestKnownNeedsMoreThanTheKind(t *testing.T) {
	const set = "apps/v1.StatefulSet"
	volume := outcome.Difference{What: "error", Field: "spec.template.spec.volumes[].name"}
	two := &campaign.Case{New: []byte(`{"spec":{"volumeClaimTemplates":[{},{}]}}`)}
	one := &campaign.Case{New: []byte(`{"spec":{"volumeClaimTemplates":[{}]}}`)}
	if known(set, two, volume) == "" {
		t.Error("the order of two claim templates is not known")
	}
	if why := known(set, one, volume); why != "" {
		t.Errorf("one claim template: %s", why)
	}
	if why := known(set, two, outcome.Difference{What: "error", Field: "spec.replicas"}); why != "" {
		t.Errorf("another field: %s", why)
	}
	panics := outcome.Difference{What: "broken", Ours: "panic: x"}
	if why := known("apps/v1.DaemonSet", one, panics); why != "" {
		t.Errorf("a panic of ours: %s", why)
	}
}
