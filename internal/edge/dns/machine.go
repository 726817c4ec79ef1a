package dns

import (
	"context"
	"net"
	"net/netip"
	"slices"

	mdns "github.com/miekg/dns"

	"github.com/knarr-io/knarr/internal/base/filewatch"
)

// Resolvers reads the resolvers of a resolv.conf, without those that would
// send a question back here: our own addresses, and the loopback stub of
// systemd-resolved, whose own upstream file is read instead where it exists.
func Resolvers(files []string, own []netip.Addr) []string {
	for _, file := range files {
		conf, err := mdns.ClientConfigFromFile(file)
		if err != nil {
			continue
		}
		var out []string
		for _, server := range conf.Servers {
			addr, err := netip.ParseAddr(server)
			if err != nil || addr.IsLoopback() || addr.IsUnspecified() || slices.Contains(own, addr) {
				continue
			}
			out = append(out, net.JoinHostPort(server, conf.Port))
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// FollowResolvers calls changed with the machine's resolvers whenever they have
// become others than known, as they do in another network, until ctx ends.
// While the files name none, the former ones stay.
func FollowResolvers(ctx context.Context, files []string, own []netip.Addr, known []string, changed func(resolvers []string)) error {
	return filewatch.Watch(ctx, files, func() {
		if now := Resolvers(files, own); len(now) > 0 && !slices.Equal(now, known) {
			known = now
			changed(now)
		}
	})
}
