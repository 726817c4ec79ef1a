package openapi

import (
	"mime"
	"slices"
	"strconv"
	"strings"
)

// format is an encoding on offer.
type format struct {
	contentType string
	protobuf    bool
}

// choose picks the encoding that an Accept header likes best; no header means
// JSON. The Protobuf form goes by two names, of which the newer is answered.
func choose(accept, version string) (format, bool) {
	if strings.TrimSpace(accept) == "" {
		return format{contentType: "application/json"}, true
	}
	binary := "application/com.github.proto-openapi.spec." + version + ".v1.0+protobuf"
	older := "application/com.github.proto-openapi.spec." + version + "@v1.0+protobuf"
	for _, mediaType := range byQuality(accept) {
		switch mediaType {
		case "application/json", "application/*", "*/*":
			return format{contentType: "application/json"}, true
		case binary, older:
			return format{contentType: binary, protobuf: true}, true
		}
	}
	return format{}, false
}

// byQuality gives the media types of an Accept header, the favourite first.
// Only the first few of an absurdly long header count.
func byQuality(accept string) []string {
	const most = 32
	type clause struct {
		mediaType string
		quality   float64
	}
	var clauses []clause
	for part := range strings.SplitSeq(accept, ",") {
		if len(clauses) == most {
			break
		}
		name, rest, _ := strings.Cut(part, ";")
		c := clause{mediaType: strings.ToLower(strings.TrimSpace(name)), quality: 1}
		if _, params, err := mime.ParseMediaType("a/b;" + rest); err == nil {
			if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
				c.quality = q
			}
		}
		clauses = append(clauses, c)
	}
	slices.SortStableFunc(clauses, func(a, b clause) int {
		switch {
		case a.quality > b.quality:
			return -1
		case a.quality < b.quality:
			return 1
		}
		return 0
	})
	out := make([]string, len(clauses))
	for i, c := range clauses {
		out[i] = c.mediaType
	}
	return out
}
