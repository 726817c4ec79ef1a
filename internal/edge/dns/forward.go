package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	mdns "github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

const (
	// attemptTime bounds one question to one resolver.
	attemptTime = 2 * time.Second
	// cacheSize bounds the answers kept, cacheTime how long at most.
	cacheSize = 4096
	cacheTime = 30 * time.Second
	// negativeTime is how long a failure-free "no such name" is kept.
	negativeTime = 5 * time.Second
)

// maxForwarded bounds questions that wait for resolvers, below maxInFlight:
// when these are silent the cluster's own names must still be answered.
const maxForwarded = maxInFlight / 2

// errBusy: so many questions wait for resolvers that another would only wait too.
var errBusy = errors.New("too many questions wait for resolvers")

// errNoResolver: the machine names no resolver that is not a loop.
var errNoResolver = errors.New("no resolver to forward to")

// Forwarder asks the machine's resolvers. It is safe for concurrent use.
type Forwarder struct {
	upstreams atomic.Pointer[upstreams]
	cache     *expirable.LRU[mdns.Question, kept]
	flight    singleflight.Group
	slots     chan struct{}
	// attempt bounds one question to one resolver, whole all of them.
	attempt, whole time.Duration
}

// kept is an answer, since when it is kept and until when it counts.
type kept struct {
	msg          *mdns.Msg
	since, until time.Time
}

// aged is the answer with the time that its records still count.
func (k kept) aged(now time.Time) *mdns.Msg {
	out := k.msg.Copy()
	for _, rr := range slices.Concat(out.Answer, out.Ns) {
		rr.Header().Ttl -= min(rr.Header().Ttl, uint32(now.Sub(k.since)/time.Second))
	}
	return out
}

// NewForwarder makes a forwarder to resolvers (host:port).
func NewForwarder(resolvers []string) *Forwarder {
	f := &Forwarder{
		cache:   expirable.NewLRU[mdns.Question, kept](cacheSize, nil, cacheTime),
		slots:   make(chan struct{}, maxForwarded),
		attempt: attemptTime, whole: answerTime,
	}
	f.upstreams.Store(&upstreams{others: resolvers})
	return f
}

// use asks others from now on, and forgets what the former ones said.
func (f *Forwarder) use(u *upstreams) {
	f.upstreams.Store(u)
	f.cache.Purge()
}

// Ask answers from the cache or a resolver. Equal questions to the same
// resolvers at one time are asked once.
func (f *Forwarder) Ask(ctx context.Context, q mdns.Question) (*mdns.Msg, error) {
	q.Name = mdns.CanonicalName(q.Name)
	from := f.upstreams.Load()
	resolvers := from.of(q.Name)
	if len(resolvers) == 0 {
		return nil, errNoResolver
	}
	now := time.Now()
	if k, ok := f.cache.Get(q); ok && now.Before(k.until) {
		return k.aged(now), nil
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return nil, errBusy
	}
	result := f.flight.DoChan(fmt.Sprintf("%p %s", from, q.String()), func() (any, error) {
		// Whoever asked first may leave; the others still want the answer.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.whole)
		defer cancel()
		return f.exchange(bounded, q, from)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*mdns.Msg).Copy(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *Forwarder) exchange(ctx context.Context, q mdns.Question, from *upstreams) (*mdns.Msg, error) {
	var failed []error
	for _, resolver := range from.of(q.Name) {
		answer, err := f.askOne(ctx, resolver, q)
		if err == nil && answer.Rcode != mdns.RcodeServerFailure && answer.Rcode != mdns.RcodeRefused {
			if f.upstreams.Load() == from { // or it is not what would be asked now
				f.keep(q, answer)
			}
			return answer, nil
		}
		if err == nil {
			err = fmt.Errorf("%s answers %s", resolver, mdns.RcodeToString[answer.Rcode])
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

func (f *Forwarder) askOne(ctx context.Context, resolver string, q mdns.Question) (*mdns.Msg, error) {
	m := new(mdns.Msg)
	m.Id = mdns.Id()
	m.RecursionDesired = true
	m.Question = []mdns.Question{q}
	m.SetEdns0(maxUDP, false)
	c := &mdns.Client{Timeout: f.attempt, UDPSize: maxUDP}
	answer, _, err := c.ExchangeContext(ctx, m, resolver)
	if err == nil && (answer.Rcode == mdns.RcodeFormatError || answer.Rcode == mdns.RcodeNotImplemented) {
		m.Extra, c.UDPSize = nil, 0 // it knows no EDNS (RFC 6891, section 7)
		answer, _, err = c.ExchangeContext(ctx, m, resolver)
	}
	if err == nil && answer.Truncated {
		c.Net = "tcp"
		answer, _, err = c.ExchangeContext(ctx, m, resolver)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", resolver, err)
	}
	// The OPT record is between us and the resolver.
	answer.Extra = slices.DeleteFunc(answer.Extra, func(rr mdns.RR) bool { return rr.Header().Rrtype == mdns.TypeOPT })
	return answer, nil
}

// keep puts an answer into the cache for as long as its records allow.
func (f *Forwarder) keep(q mdns.Question, answer *mdns.Msg) {
	life := cacheTime
	if len(answer.Answer) == 0 {
		life = negativeTime
	}
	for _, rr := range slices.Concat(answer.Answer, answer.Ns) {
		life = min(life, time.Duration(rr.Header().Ttl)*time.Second)
		if soa, ok := rr.(*mdns.SOA); ok && len(answer.Answer) == 0 {
			life = min(life, time.Duration(soa.Minttl)*time.Second) // RFC 2308, section 5
		}
	}
	if life > 0 {
		now := time.Now()
		f.cache.Add(q, kept{msg: answer, since: now, until: now.Add(life)})
	}
}
