package main

import (
	"encoding/json"
	"strings"

	"github.com/knarr-io/knarr/test/oracle/campaign"
	"github.com/knarr-io/knarr/test/oracle/outcome"
)

// known tells why a difference stays, or nothing. docs/oracle.md lists them.
func known(kind string, c *campaign.Case, d outcome.Difference) string {
	switch {
	case kind == "apps/v1.DaemonSet" && strings.Contains(d.Theirs, "strconv.ParseInt"):
		return "upstream fails to convert an annotation that is no number, and answers 500"
	case kind == "resource.k8s.io/v1.ResourceSlice" && strings.HasPrefix(d.Theirs, "panic: runtime error: integer divide"):
		return "upstream divides by a step of zero"
	case kind == "batch/v1.Job" && strings.HasPrefix(d.Theirs, "panic: runtime error: invalid memory address"):
		return "upstream dereferences what a malformed job does not have"
	case kind == "apps/v1.StatefulSet" && strings.HasPrefix(d.Field, "spec.template.spec.volumes[]") && claimTemplates(c) > 1:
		return "upstream lists the volumes of claim templates in the order of a map"
	case kind == "resource.k8s.io/v1.ResourceClaim" && d.What == "object" && d.Field == "status.allocation.nodeSelector.nodeSelectorTerms":
		return "upstream stores no list where one is empty; neither takes an allocation without terms"
	case kind == "v1.LimitRange" && d.What == "object" && d.Field == "metadata.name":
		return "upstream names what has no name at random, ours by its uid"
	}
	return ""
}

// claimTemplates counts the claim templates of a written set.
func claimTemplates(c *campaign.Case) int {
	var set struct {
		Spec struct {
			VolumeClaimTemplates []json.RawMessage `json:"volumeClaimTemplates"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(c.New, &set); err != nil {
		return 0
	}
	return len(set.Spec.VolumeClaimTemplates)
}
