package dns

import (
	"context"

	mdns "github.com/miekg/dns"
)

// maxChain bounds how many CNAMEs an answer follows.
const maxChain = 8

// Resolver answers questions from the zone and, for other names, from the
// machine's resolvers.
type Resolver struct {
	zone    *Zone
	forward *Forwarder
}

// NewResolver joins the two.
func NewResolver(zone *Zone, forward *Forwarder) *Resolver {
	return &Resolver{zone: zone, forward: forward}
}

// Answer answers one query. It always returns a reply.
func (r *Resolver) Answer(ctx context.Context, q *mdns.Msg) *mdns.Msg {
	reply := new(mdns.Msg)
	reply.SetReply(q)
	reply.RecursionAvailable = true
	if q.Opcode != mdns.OpcodeQuery {
		reply.Rcode = mdns.RcodeNotImplemented
		return reply
	}
	if len(q.Question) != 1 {
		reply.Rcode = mdns.RcodeFormatError
		return reply
	}
	question := q.Question[0]
	if question.Qclass != mdns.ClassINET {
		reply.Rcode = mdns.RcodeRefused
		return reply
	}
	if question.Qtype == mdns.TypeANY {
		return refuseANY(reply, question.Name)
	}
	name := mdns.CanonicalName(question.Name)
	if !r.zone.owns(name) {
		return r.forwarded(ctx, q, reply)
	}
	reply.Authoritative = true
	r.fromZone(ctx, reply, name, question.Qtype)
	restoreCase(reply, question.Name, name)
	return reply
}

// refuseANY answers a question for everything with one small record (RFC 8482,
// section 4.2): nobody needs more, and amplifiers would use it.
func refuseANY(reply *mdns.Msg, name string) *mdns.Msg {
	const day = 86400
	reply.Answer = []mdns.RR{&mdns.HINFO{Hdr: mdns.RR_Header{Name: name, Rrtype: mdns.TypeHINFO, Class: mdns.ClassINET, Ttl: day}, Cpu: "RFC8482"}}
	return reply
}

func (r *Resolver) forwarded(ctx context.Context, q, reply *mdns.Msg) *mdns.Msg {
	answer, err := r.forward.Ask(ctx, q.Question[0])
	if err != nil {
		reply.Rcode = mdns.RcodeServerFailure
		return reply
	}
	reply.Rcode = answer.Rcode
	reply.Answer, reply.Ns = answer.Answer, answer.Ns
	return reply
}

func (r *Resolver) fromZone(ctx context.Context, reply *mdns.Msg, name string, kind uint16) {
	for range maxChain {
		found, exists := r.zone.find(name, kind)
		if !exists {
			if len(reply.Answer) == 0 {
				reply.Rcode = mdns.RcodeNameError
			}
			break
		}
		reply.Answer = append(reply.Answer, found...)
		alias := aliasOf(found, kind)
		if alias == "" {
			break
		}
		name = mdns.CanonicalName(alias)
		if !r.zone.owns(name) {
			r.followOutside(ctx, reply, alias, kind)
			break
		}
	}
	if len(reply.Answer) == 0 {
		reply.Ns = []mdns.RR{r.zone.soa()}
	}
	r.addTargets(reply)
}

// aliasOf is where the found records point on to, if they are no answer yet.
func aliasOf(found []mdns.RR, kind uint16) string {
	if kind == mdns.TypeCNAME {
		return ""
	}
	for _, rr := range found {
		if c, ok := rr.(*mdns.CNAME); ok {
			return c.Target
		}
	}
	return ""
}

// followOutside adds what the machine's resolvers say of an alias's target; a
// failure leaves the alias alone, which clients can follow themselves.
func (r *Resolver) followOutside(ctx context.Context, reply *mdns.Msg, target string, kind uint16) {
	answer, err := r.forward.Ask(ctx, mdns.Question{Name: target, Qtype: kind, Qclass: mdns.ClassINET})
	if err == nil {
		reply.Answer = append(reply.Answer, answer.Answer...)
	}
}

// addTargets adds the addresses of SRV targets, which clients ask for next.
func (r *Resolver) addTargets(reply *mdns.Msg) {
	for _, rr := range reply.Answer {
		srv, ok := rr.(*mdns.SRV)
		if !ok {
			continue
		}
		for _, kind := range []uint16{mdns.TypeA, mdns.TypeAAAA} {
			addresses, _ := r.zone.find(srv.Target, kind)
			reply.Extra = append(reply.Extra, addresses...)
		}
	}
}

// restoreCase writes the name as it was asked: some resolvers mix its case to
// tell forged answers (draft-vixie-dnsext-dns0x20).
func restoreCase(reply *mdns.Msg, asked, canonical string) {
	if asked == canonical {
		return
	}
	for i, rr := range reply.Answer {
		if rr.Header().Name == canonical {
			reply.Answer[i] = mdns.Copy(rr)
			reply.Answer[i].Header().Name = asked
		}
	}
}
