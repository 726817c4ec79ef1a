package discovery

import (
	"mime"
	"slices"
	"strconv"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
)

// choice is what a client wants: a media type, and whether in aggregated form.
type choice struct {
	mediaType  string
	aggregated bool
	// removed is set where the client insists on a version of aggregated
	// discovery that is gone.
	removed bool
}

const (
	jsonType     = "application/json"
	yamlType     = "application/yaml"
	protobufType = "application/vnd.kubernetes.protobuf"

	aggregatedSuffix = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
)

func mediaTypes() []string { return []string{jsonType, yamlType, protobufType} }

type clause struct {
	mediaType string
	params    map[string]string
	quality   float64
}

// choose reads an Accept header. Where aggregation is not on offer (paths
// below /api and /apis), clauses that ask for it are passed over. It returns
// false where nothing on offer is acceptable.
func choose(accept string, aggregation bool) (choice, bool) {
	clauses := parseAccept(accept)
	if len(clauses) == 0 {
		return choice{mediaType: jsonType}, true
	}
	for _, c := range clauses {
		mediaType, ok := offered(c.mediaType)
		if !ok {
			continue
		}
		as := c.params["as"]
		if as == "" {
			return choice{mediaType: mediaType}, true
		}
		if !aggregation || as != "APIGroupDiscoveryList" || c.params["g"] != apidiscoveryv2.GroupName {
			continue
		}
		switch c.params["v"] {
		case "v2":
			return choice{mediaType: mediaType, aggregated: true}, true
		case "v2beta1":
			return choice{removed: true}, true
		}
	}
	return choice{}, false
}

func offered(mediaType string) (string, bool) {
	if mediaType == "*/*" || mediaType == "application/*" {
		return jsonType, true
	}
	return mediaType, slices.Contains(mediaTypes(), mediaType)
}

// parseAccept gives the clauses with the client's favourite first. Only the
// first few clauses of an absurdly long header count.
func parseAccept(accept string) []clause {
	const most = 32
	var out []clause
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		c := clause{mediaType: mediaType, params: params, quality: 1}
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			c.quality = q
		}
		if out = append(out, c); len(out) == most {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b clause) int {
		switch {
		case a.quality > b.quality:
			return -1
		case a.quality < b.quality:
			return 1
		}
		return 0
	})
	return out
}
