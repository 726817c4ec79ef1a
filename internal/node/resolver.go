package node

import (
	"log/slog"
	"net/netip"
	"os"

	"github.com/knarr-io/knarr/internal/node/render"
)

// Where a machine keeps its resolvers. The second is systemd-resolved's list
// of the servers that its own stub, on a loopback address, stands for.
const (
	resolvConf       = "/etc/resolv.conf"
	systemdResolvers = "/run/systemd/resolve/resolv.conf"
)

// hostResolver reads the machine's resolvers as pods can use them: a server on
// a loopback address is not there for them.
func hostResolver(path string, logger *slog.Logger) render.Resolver {
	paths := []string{path}
	if path == "" {
		paths = []string{resolvConf, systemdResolvers}
	}
	var r render.Resolver
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			logger.Debug("resolver file is not readable", "path", p, "error", err)
			continue
		}
		r = render.ParseResolver(string(data))
		if path != "" {
			return r
		}
		if r.Servers = reachable(r.Servers); len(r.Servers) > 0 {
			return r
		}
	}
	logger.Warn("the machine has no resolver that pods can reach: they find names of the cluster only", "looked", paths)
	return r
}

func reachable(servers []string) []string {
	var out []string
	for _, s := range servers {
		if ip, err := netip.ParseAddr(s); err == nil && !ip.IsLoopback() {
			out = append(out, s)
		}
	}
	return out
}
