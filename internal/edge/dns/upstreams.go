package dns

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	mdns "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/edge/mirror"
)

// Bounds of what a ConfigMap may ask for.
const (
	maxStubs     = 256
	maxResolvers = 8
)

// upstreams say who is asked for which names. They are immutable.
type upstreams struct {
	stubs  map[string][]string // by domain, canonical; resolvers as host:port
	others []string
}

// of are the resolvers for a canonical name: those of the longest stub domain
// that it lies in, or the others.
func (u *upstreams) of(name string) []string {
	for {
		if found, ok := u.stubs[name]; ok {
			return found
		}
		_, parent, _ := strings.Cut(name, ".")
		if parent == "" {
			return u.others
		}
		name = parent
	}
}

// FollowSettings keeps the forwarder in step with the ConfigMap
// kube-system/kube-dns: stubDomains is a JSON object of domains with lists of
// resolvers, upstreamNameservers a JSON list of resolvers that take the place
// of the machine's. A resolver is an address, with a port where that is not 53;
// own addresses are passed over, as are those that lead back here. moved is to
// be told when the machine has other resolvers.
func FollowSettings(f *Forwarder, m *mirror.Mirror, own []netip.Addr, logger *slog.Logger) (moved func(machine []string)) {
	var mu sync.Mutex
	machine := f.upstreams.Load().others
	renewLocked := func() {
		next := &upstreams{others: machine}
		if c, ok := m.Settings(); ok {
			var err error
			if next, err = readSettings(c, machine, own); err != nil {
				logger.Warn("the settings of DNS are wrong and not used as a whole", "configmap", mirror.DNSSettings, "error", err)
			}
		}
		f.use(next)
	}
	m.OnChange(func(topic mirror.Topic, _ mirror.Key) {
		if topic == mirror.Settings {
			mu.Lock()
			defer mu.Unlock()
			renewLocked()
		}
	})
	return func(now []string) {
		mu.Lock()
		defer mu.Unlock()
		machine = now
		renewLocked()
	}
}

// readSettings reads all it can; the error names what it could not.
func readSettings(c *corev1.ConfigMap, machine []string, own []netip.Addr) (*upstreams, error) {
	out := &upstreams{stubs: map[string][]string{}, others: machine}
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if text := c.Data["stubDomains"]; text != "" {
		var stubs map[string][]string
		if err := json.Unmarshal([]byte(text), &stubs); err != nil {
			complain("stubDomains: %v", err)
		}
		for domain, resolvers := range stubs {
			name := mdns.CanonicalName(domain)
			if _, valid := mdns.IsDomainName(name); !valid || name == "." || len(out.stubs) == maxStubs {
				complain("stubDomains: %q is no domain, or one too many", domain)
				continue
			}
			usable, unusable := resolversOf(resolvers, own)
			wrong = append(wrong, unusable...)
			out.stubs[name] = usable
		}
	}
	if text := c.Data["upstreamNameservers"]; text != "" {
		var resolvers []string
		if err := json.Unmarshal([]byte(text), &resolvers); err != nil {
			complain("upstreamNameservers: %v", err)
		}
		usable, unusable := resolversOf(resolvers, own)
		wrong = append(wrong, unusable...)
		if len(usable) > 0 {
			out.others = usable
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return out, fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return out, nil
}

// resolversOf sorts out what can be asked.
func resolversOf(texts []string, own []netip.Addr) (usable, unusable []string) {
	for _, text := range texts {
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			addr, bare := netip.ParseAddr(text)
			at, err = netip.AddrPortFrom(addr, 53), bare
		}
		switch {
		case err != nil || at.Port() == 0:
			unusable = append(unusable, fmt.Sprintf("%q is no address of a resolver", text))
		case leadsBack(at, own):
			unusable = append(unusable, fmt.Sprintf("%q would lead back here", text))
		case len(usable) == maxResolvers:
			unusable = append(unusable, fmt.Sprintf("%q is one resolver too many", text))
		default:
			usable = append(usable, net.JoinHostPort(at.Addr().String(), fmt.Sprint(at.Port())))
		}
	}
	return usable, unusable
}

// leadsBack tells whether questions to an address would come here again, by
// itself or by the machine's own stub resolver.
func leadsBack(at netip.AddrPort, own []netip.Addr) bool {
	return slices.Contains(own, at.Addr()) || at.Addr().IsUnspecified() || at.Addr().IsLoopback() && at.Port() == 53
}
