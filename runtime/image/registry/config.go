// Package registry fetches images from registries. It checks every digest, and
// keeps the registry's own words in errors.
package registry

import (
	"net/netip"
	"strings"
	"time"
)

// Config says how to reach registries.
type Config struct {
	// Hosts is by registry host as it stands in image names, such as docker.io.
	Hosts map[string]Host `json:"hosts,omitempty"`
	// StallSeconds is how long a registry may send nothing, one minute where zero.
	StallSeconds uint32 `json:"stallSeconds,omitempty"`
}

// stall is how long a registry may send nothing.
func (c Config) stall() time.Duration {
	if c.StallSeconds == 0 {
		return time.Minute
	}
	return time.Duration(c.StallSeconds) * time.Second
}

// Host is how to reach one registry.
type Host struct {
	// Mirrors are asked first, in order: host[:port], or http://host[:port] for plain HTTP.
	Mirrors []string `json:"mirrors,omitempty"`
	// PlainHTTP allows HTTP without TLS. Loopback addresses need no permission.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// endpoint is one place to ask for an image.
type endpoint struct {
	host      string
	plainHTTP bool
	insecure  bool
	mirror    bool
}

// endpoints returns where to ask for images of host, in order.
func (c Config) endpoints(host string) []endpoint {
	h := c.Hosts[host]
	var out []endpoint
	for _, m := range h.Mirrors {
		plain := strings.HasPrefix(m, "http://")
		name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(m, "http://"), "https://"), "/")
		out = append(out, endpoint{host: name, plainHTTP: plain || isLoopback(name), insecure: h.InsecureSkipVerify, mirror: true})
	}
	return append(out, endpoint{host: host, plainHTTP: h.PlainHTTP || isLoopback(host), insecure: h.InsecureSkipVerify})
}

// isLoopback says whether host[:port] is this machine by its name or address.
func isLoopback(host string) bool {
	if ap, err := netip.ParseAddrPort(host); err == nil {
		return ap.Addr().IsLoopback()
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback()
	}
	name, _, _ := strings.Cut(host, ":")
	return name == "localhost"
}
