package dns

import (
	"math/rand/v2"
	"strings"
	"sync"

	mdns "github.com/miekg/dns"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// specVersion is the version of the specification that the zone follows.
const specVersion = "1.1.0"

// Zone holds the cluster's records. It is safe for concurrent use.
type Zone struct {
	name string // with the dot at the end

	mu       sync.RWMutex
	services map[mirror.Key]records
	names    map[string]map[mirror.Key][]mdns.RR
	// below counts the names under each name, so that a name between others
	// exists although it has no records (RFC 8020).
	below map[string]int
}

// NewZone makes an empty zone for a domain such as cluster.local.
func NewZone(domain string) *Zone {
	return &Zone{
		name:     mdns.CanonicalName(domain),
		services: map[mirror.Key]records{},
		names:    map[string]map[mirror.Key][]mdns.RR{},
		below:    map[string]int{},
	}
}

// set replaces the records of a Service.
func (z *Zone) set(key mirror.Key, next records) {
	z.mu.Lock()
	defer z.mu.Unlock()
	old := z.services[key]
	for name := range old {
		if _, stays := next[name]; !stays {
			delete(z.names[name], key)
			if len(z.names[name]) == 0 {
				delete(z.names, name)
				z.countLocked(name, -1)
			}
		}
	}
	for name, rrs := range next {
		if z.names[name] == nil {
			z.names[name] = map[mirror.Key][]mdns.RR{}
			z.countLocked(name, 1)
		}
		z.names[name][key] = sorted(rrs)
	}
	if len(next) == 0 {
		delete(z.services, key)
	} else {
		z.services[key] = next
	}
}

// countLocked adds a name to the names below each of its parents.
func (z *Zone) countLocked(name string, n int) {
	for {
		_, parent, _ := strings.Cut(name, ".")
		if parent == "" {
			return
		}
		if z.below[parent] += n; z.below[parent] == 0 {
			delete(z.below, parent)
		}
		name = parent
	}
}

// owns tells whether the zone, or the reverse names of its addresses, answer
// for the name; everything else is forwarded.
func (z *Zone) owns(name string) bool {
	if mdns.IsSubDomain(z.name, name) {
		return true
	}
	z.mu.RLock()
	defer z.mu.RUnlock()
	_, known := z.names[name]
	return known
}

// find gives the records of a name of one type, in random order; exists tells
// an empty answer from a name that is not there.
func (z *Zone) find(name string, kind uint16) (out []mdns.RR, exists bool) {
	if rr, ok := z.fixed(name); ok {
		if rr == nil || kind != rr.Header().Rrtype {
			return nil, true
		}
		return []mdns.RR{rr}, true
	}
	z.mu.RLock()
	defer z.mu.RUnlock()
	for _, rrs := range z.names[name] {
		for _, rr := range rrs {
			t := rr.Header().Rrtype
			if t == kind || t == mdns.TypeCNAME {
				out = append(out, rr)
			}
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	_, exists = z.names[name]
	return out, exists || z.below[name] > 0 || name == z.name
}

// fixed answers names that do not come from a Service: the version of the
// specification and the pods' names, which spell their address.
func (z *Zone) fixed(name string) (rr mdns.RR, ok bool) {
	if name == "dns-version."+z.name {
		return &mdns.TXT{Hdr: header(name, mdns.TypeTXT), Txt: []string{specVersion}}, true
	}
	rest, inPods := strings.CutSuffix(name, ".pod."+z.name)
	label, namespace, two := strings.Cut(rest, ".")
	if !inPods || !two || strings.Contains(namespace, ".") {
		return nil, false
	}
	addr, isAddress := undashed(label)
	if !isAddress {
		return nil, false
	}
	if addr.Is4() {
		return &mdns.A{Hdr: header(name, mdns.TypeA), A: addr.AsSlice()}, true
	}
	return &mdns.AAAA{Hdr: header(name, mdns.TypeAAAA), AAAA: addr.AsSlice()}, true
}

// soa is the authority of negative answers.
func (z *Zone) soa() mdns.RR {
	return &mdns.SOA{Hdr: header(z.name, mdns.TypeSOA), Ns: "ns.dns." + z.name, Mbox: "hostmaster." + z.name,
		Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl}
}
