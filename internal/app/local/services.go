package local

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/knarr-io/knarr/internal/app/keep"
)

// The services that keep supervises.
const (
	serviceRuntime = "runtime"
	serviceServer  = "server"
	serviceAgent   = "agent" // in place of the server, where that runs elsewhere
	serviceEdge    = "edge"
)

// edgeUser is the user and group of the edge: an id of no account, so that it
// owns nothing on the machine but its own folder.
const edgeUser = 61618

// EdgeUser is that id for those who tell the edge's packets from others.
const EdgeUser uint32 = edgeUser

// Socket names, by which a service tells what it inherited.
const (
	SocketAPI   = "api"
	SocketDNS   = "dns"
	SocketDNST  = "dns-tcp"
	SocketHTTP  = "http"
	SocketHTTPS = "https"
)

// programs are the paths of what runs.
type programs struct {
	knarr  string
	folder string // of the runtime's programs
}

func (p programs) keep() string    { return filepath.Join(p.folder, "knarr-keep") }
func (p programs) runtime() string { return filepath.Join(p.folder, "knarr-runtime") }

// stopGraceMillis is how long a service has to end by itself.
const stopGraceMillis = 10_000

func (s Settings) runtimeService(p programs) keep.Service {
	return keep.Service{
		Env:  Proxies(os.Environ()),
		Name: serviceRuntime, Restart: "always", Log: filepath.Join(s.logs(), "runtime.log"), StopGraceMillis: stopGraceMillis,
		Argv: append(append([]string{p.runtime(), "serve", "--socket", s.RuntimeSocket(), "--admin-socket", s.AdminSocket(), "--keep-socket", s.keepSocket()}, s.runtimeFlags()...), s.registryFlags()...),
	}
}

// Proxies are the settings of HTTP proxies in an environment, by which the
// runtime reaches registries.
func Proxies(environ []string) []string {
	var out []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY":
			out = append(out, entry)
		}
	}
	return out
}

// runtimeFlags say where the runtime keeps things; cleanup wants them too.
func (s Settings) runtimeFlags() []string {
	return []string{"--root", s.runtimeRoot(), "--state", s.runtimeState(), "--cgroup-parent", s.podGroup(unified)}
}

func (s Settings) registryFlags() []string {
	if s.Registries == "" {
		return nil
	}
	return []string{"--config", s.Registries}
}

func (s Settings) serverService(p programs) keep.Service {
	return keep.Service{
		Name: serviceServer, Restart: "always", Log: filepath.Join(s.logs(), "server.log"), StopGraceMillis: stopGraceMillis,
		Argv: append([]string{p.knarr, "server"}, s.Flags()...),
		Listen: []keep.Socket{
			{Name: SocketAPI, Network: "tcp", Address: net.JoinHostPort("", port(s.APIPort))},
		},
	}
}

// agentService makes a node of a server that runs elsewhere, or in another
// network namespace.
func (s Settings) agentService(p programs) keep.Service {
	argv := append([]string{p.knarr, "agent"}, s.Flags()...)
	if s.Server != "" {
		argv = append(argv, "--server", s.Server)
	}
	if s.Behind != "" {
		argv = append(argv, "--behind", s.Behind)
	}
	return keep.Service{Name: serviceAgent, Restart: "always", Log: filepath.Join(s.logs(), "agent.log"), StopGraceMillis: stopGraceMillis, Argv: argv}
}

// nodeServices are what a node of this machine runs.
func (s Settings) nodeServices(p programs) []keep.Service {
	main := s.serverService(p)
	if s.isAgent() {
		main = s.agentService(p)
	}
	if !s.ownRuntime() {
		return []keep.Service{main, s.edgeService(p)}
	}
	return []keep.Service{s.runtimeService(p), main, s.edgeService(p)}
}

func (s Settings) edgeService(p programs) keep.Service {
	dns := net.JoinHostPort(s.DNS.String(), "53")
	address := "" // the machine's
	if s.AddressFixed {
		address = s.NodeAddress.String()
	}
	return keep.Service{
		Name: serviceEdge, Restart: "always", UID: edgeUser, GID: edgeUser, Log: filepath.Join(s.logs(), "edge.log"), StopGraceMillis: stopGraceMillis,
		Argv: []string{p.knarr, "edge", "--kubeconfig", s.edgeKubeconfig(), "--state-dir", s.edgeState(),
			"--cluster-domain", s.Domain, "--node-address", address, "--cluster-dns", s.DNS.String(), "--log-level", s.LogLevel,
			fmt.Sprintf("--show-address=%t", !s.isAgent())}, // one edge writes the address of Ingresses
		Listen: []keep.Socket{
			{Name: SocketDNS, Network: "udp4", Address: dns},
			{Name: SocketDNST, Network: "tcp4", Address: dns},
			{Name: SocketHTTP, Network: "tcp", Address: net.JoinHostPort("", port(s.HTTPPort))},
			{Name: SocketHTTPS, Network: "tcp", Address: net.JoinHostPort("", port(s.HTTPSPort))},
		},
	}
}

// Flags are the settings as the server's command line takes them.
func (s Settings) Flags() []string {
	flags := []string{
		"--data-dir", s.DataDir, "--run-dir", s.RunDir, "--pod-log-dir", s.LogDir,
		"--node-name", s.NodeName,
		"--api-port", port(s.APIPort), "--kubelet-port", port(s.KubeletPort),
		"--http-port", port(s.HTTPPort), "--https-port", port(s.HTTPSPort), "--load-balancer", s.LoadBalancer,
		"--pod-network", s.Pods.String(), "--service-network", s.Services.String(),
		"--cluster-dns", s.DNS.String(), "--cluster-domain", s.Domain,
		"--node-network", s.NodeNetwork.String(), "--overlay", s.Overlay, "--cgroup-parent", s.podGroup(unified), "--log-level", s.LogLevel,
	}
	if s.CertificateLife > 0 {
		flags = append(flags, "--certificate-life", s.CertificateLife.String())
	}
	if s.AddressFixed {
		flags = append(flags, "--node-address", s.NodeAddress.String())
	}
	if !s.ownRuntime() {
		flags = append(flags, "--runtime-endpoint", s.RuntimeEndpoint)
	}
	if s.NodeConfig != "" {
		flags = append(flags, "--node-config", s.NodeConfig)
	}
	if s.SchedulerConfig != "" {
		flags = append(flags, "--scheduler-config", s.SchedulerConfig)
	}
	return append(flags, append(s.Access.flags(), s.Simulate.flags()...)...)
}
