package dns

import (
	"net/netip"
	"sort"
	"strings"

	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// ttl is how long others may keep an answer, in seconds: what CoreDNS gives
// for Services by default.
const ttl = 5

// records are the resource records of names (lower case, fully qualified).
type records map[string][]mdns.RR

func (r records) add(rr mdns.RR) {
	name := rr.Header().Name
	for _, old := range r[name] {
		if mdns.IsDuplicate(old, rr) {
			return
		}
	}
	r[name] = append(r[name], rr)
}

func header(name string, kind uint16) mdns.RR_Header {
	return mdns.RR_Header{Name: name, Rrtype: kind, Class: mdns.ClassINET, Ttl: ttl}
}

func (r records) addAddress(name string, addr netip.Addr) {
	if addr.Is4() {
		r.add(&mdns.A{Hdr: header(name, mdns.TypeA), A: addr.AsSlice()})
	} else {
		r.add(&mdns.AAAA{Hdr: header(name, mdns.TypeAAAA), AAAA: addr.AsSlice()})
	}
}

func (r records) addService(owner, port, protocol string, number uint16, target string) {
	if port == "" || protocol == "" {
		return
	}
	name := "_" + port + "._" + strings.ToLower(protocol) + "." + owner
	r.add(&mdns.SRV{Hdr: header(name, mdns.TypeSRV), Priority: 0, Weight: 100, Port: number, Target: target})
}

func (r records) addPointer(addr netip.Addr, target string) {
	if name, err := mdns.ReverseAddr(addr.String()); err == nil {
		r.add(&mdns.PTR{Hdr: header(name, mdns.TypePTR), Ptr: target})
	}
}

// renderService gives the records of a Service; zone ends with a dot.
func renderService(svc *corev1.Service, slices []*discoveryv1.EndpointSlice, zone string) records {
	out := records{}
	owner := strings.ToLower(svc.Name + "." + svc.Namespace + ".svc." + zone)
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		out.add(&mdns.CNAME{Hdr: header(owner, mdns.TypeCNAME), Target: mdns.Fqdn(svc.Spec.ExternalName)})
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		renderHeadless(out, owner, slices)
	default:
		renderCluster(out, owner, svc)
	}
	return out
}

func renderCluster(out records, owner string, svc *corev1.Service) {
	for _, ip := range svc.Spec.ClusterIPs {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			continue
		}
		out.addAddress(owner, addr)
		out.addPointer(addr, owner)
	}
	for _, port := range svc.Spec.Ports {
		out.addService(owner, port.Name, string(port.Protocol), uint16(port.Port), owner)
	}
}

func renderHeadless(out records, owner string, slices []*discoveryv1.EndpointSlice) {
	for _, slice := range slices {
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			for _, text := range e.Addresses {
				if addr, err := netip.ParseAddr(text); err == nil {
					renderEndpoint(out, owner, slice, e, addr)
				}
			}
		}
	}
	if _, any := out[owner]; !any {
		out[owner] = nil // the name exists, without addresses
	}
}

func renderEndpoint(out records, owner string, slice *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint, addr netip.Addr) {
	name := dashed(addr) + "." + owner
	if e.Hostname != nil && *e.Hostname != "" {
		name = strings.ToLower(*e.Hostname) + "." + owner
	}
	out.addPointer(addr, name)
	out.addAddress(owner, addr)
	out.addAddress(name, addr)
	for _, port := range slice.Ports {
		if port.Name == nil || port.Port == nil {
			continue
		}
		protocol := "TCP"
		if port.Protocol != nil {
			protocol = string(*port.Protocol)
		}
		out.addService(owner, *port.Name, protocol, uint16(*port.Port), name)
	}
}

// dashed writes an address as one label.
func dashed(addr netip.Addr) string {
	return strings.NewReplacer(".", "-", ":", "-").Replace(addr.String())
}

// undashed reads a label that dashed wrote; IPv6 where there are other than
// four parts.
func undashed(label string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.ReplaceAll(label, "-", "."))
	if err != nil {
		addr, err = netip.ParseAddr(strings.ReplaceAll(label, "-", ":"))
	}
	return addr, err == nil
}

// sorted copies records in a steady order, for tests and for rotation.
func sorted(in []mdns.RR) []mdns.RR {
	out := append([]mdns.RR(nil), in...)
	sort.Slice(out, func(i, j int) bool { return out[i].String() < out[j].String() })
	return out
}
