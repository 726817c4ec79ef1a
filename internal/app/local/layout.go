// Package local brings the cluster on this machine up and down again, and
// tells how it stands.
//
// Up starts knarr-keep, and through it three services: the runtime, the server
// (API, controllers, scheduler and node agent in one process) and the edge
// (DNS and Ingress). All three start at the same time; each waits for what it
// needs. What must be known before they start (ports, addresses, names) is
// written into one state file, so that the same cluster comes back with the
// same identity.
//
// Down undoes everything that Up and the services did to the machine; with
// purge also what they keep on disk.
package local

import (
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"github.com/knarr-io/knarr/internal/edge"
	"github.com/knarr-io/knarr/internal/kubeconfig"
)

// Settings say what cluster is wanted. The zero values of addresses and names
// are found out by Up.
type Settings struct {
	DataDir, RunDir, LogDir string
	NodeName                string
	NodeAddress             netip.Addr
	// AddressFixed: NodeAddress was asked for and stays. Otherwise the node's
	// address is whatever the machine has, and follows it.
	AddressFixed bool
	// Ports are wished for: where one is taken, Up uses the next free one.
	APIPort, HTTPPort, HTTPSPort int
	KubeletPort                  int
	Pods, Services               netip.Prefix
	DNS                          netip.Addr
	Domain                       string
	// NodeNetwork is where the addresses of further nodes on this machine come
	// from; its first address is the first node's among them.
	NodeNetwork netip.Prefix
	// Overlay says when packets between nodes go through a tunnel: auto, always
	// or never.
	Overlay string
	// LoadBalancer is node where Services of type LoadBalancer get the nodes'
	// addresses, none where another program gives them theirs.
	LoadBalancer string
	CgroupParent string
	LogLevel     string
	// Kubeconfigs are people's, to which the cluster was added.
	Kubeconfigs []kubeconfig.Target
	// CertificateLife is how long new certificates live; zero: a year.
	CertificateLife time.Duration
	// Registries is a file that says how the runtime reaches registries; it may
	// be empty. docs/registries.md tells its format.
	Registries string
	// NodeConfig is a KubeletConfiguration for the nodes of this machine; it may
	// be empty.
	NodeConfig string
	// RuntimeEndpoint is the CRI socket of another runtime, which the first node
	// then uses; empty for Knarr's own.
	RuntimeEndpoint string
	Access          Access
	// SchedulerConfig is a KubeSchedulerConfiguration; it may be empty.
	SchedulerConfig string
	// Simulate are the played nodes of the cluster; nil: those that there were.
	Simulate *Simulation
	// Server is the URL of the API of the cluster that this machine joined;
	// empty where the server runs here.
	Server string

	// Count is how many nodes are wanted on this machine; zero: as many as
	// there were.
	Count int
	// Further are the nodes besides the first.
	Further []Further
	// Namespace pins the network namespace of a further node, and Behind is the
	// name of the first node, by which other machines reach it; both are empty for
	// the first. BinDir is where programs lie if not below DataDir.
	Namespace, Behind, BinDir string
}

// The folders and files of a cluster. Everything below DataDir but the
// programs is for root alone.
func (s Settings) stateFile() string    { return filepath.Join(s.DataDir, "cluster.json") }
func (s Settings) lockFile() string     { return filepath.Join(s.RunDir, "up.lock") }
func (s Settings) logs() string         { return filepath.Join(s.DataDir, "log") }
func (s Settings) edgeState() string    { return filepath.Join(s.DataDir, "edge") }
func (s Settings) keepState() string    { return filepath.Join(s.DataDir, "keep") }
func (s Settings) networkState() string { return filepath.Join(s.DataDir, "network") }
func (s Settings) runtimeRoot() string  { return filepath.Join(s.DataDir, "runtime") }
func (s Settings) runtimeState() string { return filepath.Join(s.RunDir, "runtime") }
func (s Settings) keepLog() string      { return filepath.Join(s.logs(), "keep.log") }
func (s Settings) keepSocket() string   { return filepath.Join(s.RunDir, "keep.sock") }
func (s Settings) PKI() string          { return filepath.Join(s.DataDir, "pki") }

// ownRuntime tells that the node's runtime is Knarr's.
func (s Settings) ownRuntime() bool { return s.RuntimeEndpoint == "" }

// RuntimeSocket is where the node's runtime answers.
func (s Settings) RuntimeSocket() string {
	if !s.ownRuntime() {
		return s.RuntimeEndpoint
	}
	return filepath.Join(s.RunDir, "runtime.sock")
}

func (s Settings) programs() string {
	if s.BinDir != "" {
		return s.BinDir
	}
	return filepath.Join(s.DataDir, "bin")
}

// NodeRoot is where the node agent keeps volumes.
func (s Settings) NodeRoot() string { return filepath.Join(s.DataDir, "node") }

// NodeSocket is where the node agent is asked to end its pods.
func (s Settings) NodeSocket() string { return filepath.Join(s.RunDir, "node.sock") }

// StaticPods is where manifests of static pods lie.
func (s Settings) StaticPods() string { return filepath.Join(s.DataDir, "manifests") }

// AdminSocket is where the runtime takes image imports.
func (s Settings) AdminSocket() string { return filepath.Join(s.RunDir, "runtime-admin.sock") }

// AdminKubeconfig is the administrator's, readable by root alone.
func (s Settings) AdminKubeconfig() string { return filepath.Join(s.DataDir, "admin.kubeconfig") }

// EdgeSocket is where the edge answers the node's agent.
func (s Settings) EdgeSocket() string { return filepath.Join(s.edgeState(), edge.ControlSocket) }

// edgeKubeconfig lies in a folder that the edge's user can enter.
func (s Settings) edgeKubeconfig() string {
	return filepath.Join(s.edgeState(), "kubeconfig")
}

// server is the URL of the API.
func (s Settings) server() string {
	return "https://" + netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(s.APIPort)).String()
}

func port(n int) string { return strconv.Itoa(n) }
