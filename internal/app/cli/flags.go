package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/settings"
	"github.com/knarr-io/knarr/internal/network/peers"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
	"github.com/knarr-io/knarr/internal/node/simulated"
	"github.com/knarr-io/knarr/internal/scheduler/config"
)

// clusterFlags are the settings of a cluster on a command line.
type clusterFlags struct {
	file                        string
	nodeAddress, pods, services string
	dns, nodes                  string
	simulate                    local.Simulation
	local.Settings
}

// register adds the flags; all of them can be set in the file and the
// environment too.
func (c *clusterFlags) register(flags *pflag.FlagSet) {
	onSubject(flags, ofCluster, c.registerCluster)
	onSubject(flags, ofNode, c.registerNode)
	onSubject(flags, ofAccess, func(flags *pflag.FlagSet) { registerAccess(flags, &c.Access) })
	flags.IntVar(&c.simulate.Nodes, "simulate", 0, "simulated nodes: pods on them become Ready, and nothing runs (default: as many as there were, at first none)")
	flags.DurationVar(&c.simulate.Delay, "simulate-delay", 0, "how long pods on simulated nodes take to start")
	flags.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error")
}

// registerToFind adds them to a command that works on a cluster which is there.
// What that was brought up with counts, so that help shows only how to find it;
// the others are taken, since a file may hold them.
func (c *clusterFlags) registerToFind(flags *pflag.FlagSet) {
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.register(settings)
	settings.VisitAll(func(f *pflag.Flag) {
		f.Hidden = f.Name != "config" && f.Name != "data-dir"
		f.Annotations = nil
		flags.AddFlag(f)
	})
}

func (c *clusterFlags) registerCluster(flags *pflag.FlagSet) {
	flags.StringVar(&c.file, "config", "", "YAML file of settings, named as the flags are")
	flags.StringVar(&c.DataDir, "data-dir", "/var/lib/knarr", "where the cluster's data lies")
	flags.StringVar(&c.RunDir, "run-dir", "/run/knarr", "where sockets lie")
	flags.IntVar(&c.APIPort, "api-port", 6443, "port of the API")
	flags.IntVar(&c.HTTPPort, "http-port", 80, "port of Ingress, plain")
	flags.IntVar(&c.HTTPSPort, "https-port", 443, "port of Ingress, TLS")
	flags.StringVar(&c.pods, "pod-network", "10.244.0.0/16", "network that pod addresses come from")
	flags.StringVar(&c.services, "service-network", "10.96.0.0/16", "network that Service addresses come from")
	flags.StringVar(&c.nodes, "node-network", "10.245.0.0/24", "network that addresses of further nodes on this machine come from")
	flags.StringVar(&c.Overlay, "overlay", "", "when pods' packets go through a tunnel (VXLAN) to other nodes: auto (where they share no link), always, or never (default: as it was, at first auto)")
	flags.StringVar(&c.LoadBalancer, "load-balancer", "node", "who gives Services of type LoadBalancer an address: node (those of the nodes), or none (something that you install)")
	flags.StringVar(&c.dns, "cluster-dns", "", "address of the cluster DNS (default: the tenth of the service network)")
	flags.StringVar(&c.Domain, "cluster-domain", "cluster.local", "domain of the cluster's names")
	flags.StringVar(&c.SchedulerConfig, "scheduler-config", "", "YAML file, a KubeSchedulerConfiguration: profiles, plugins and their arguments (docs/scheduler-configuration.md)")
	flags.DurationVar(&c.CertificateLife, "certificate-life", 365*24*time.Hour, "how long certificates live that the cluster makes for itself; they are renewed when two thirds of it are over")
}

func (c *clusterFlags) registerNode(flags *pflag.FlagSet) {
	flags.StringVar(&c.NodeName, "node-name", "", "name of this node (default: the host's name)")
	flags.StringVar(&c.nodeAddress, "node-address", "", "IPv4 address of this node (default: that of the default route, also when it becomes another one)")
	flags.IntVar(&c.KubeletPort, "kubelet-port", 10250, "port of the node agent")
	flags.StringVar(&c.NodeConfig, "node-config", "", "file of node settings, a KubeletConfiguration (docs/node-configuration.md)")
	flags.StringVar(&c.LogDir, "pod-log-dir", "/var/log/pods", "where the containers' logs lie")
	flags.StringVar(&c.CgroupParent, "cgroup-parent", "/knarr", "cgroup that holds everything of the cluster")
	flags.StringVar(&c.Registries, "registries", "", "JSON file of mirrors and plain HTTP for registries (docs/registries.md), and of runtime handlers (docs/runtime-handlers.md)")
	flags.StringVar(&c.RuntimeEndpoint, "runtime-endpoint", "", "CRI socket of another runtime, such as /run/containerd/containerd.sock (default: Knarr's own; docs/other-runtimes.md)")
}

// shortestLife leaves a renewal ten seconds before the old certificate ends.
const shortestLife = 30 * time.Second

// registerServer adds the flag of nodes whose server runs elsewhere.
func (c *clusterFlags) registerServer(flags *pflag.FlagSet) {
	flags.StringVar(&c.Server, "server", "", "URL of the API of a cluster on another machine, to be a node of it")
}

// read completes the flags from environment and file and checks them. Both may
// be those of `knarr up`: what that command alone takes is passed over.
func (c *clusterFlags) read(cmd *cobra.Command) error {
	up, _, err := cmd.Root().Find([]string{"up"})
	if err != nil {
		return err
	}
	if err := settings.Apply(cmd.Flags(), up.Flags(), c.file, os.Environ()); err != nil {
		return err
	}
	if err := c.anchorFolders(); err != nil {
		return err
	}
	if c.Pods, err = network("pod-network", c.pods); err != nil {
		return err
	}
	if c.Services, err = network("service-network", c.services); err != nil {
		return err
	}
	if c.NodeNetwork, err = network("node-network", c.nodes); err != nil {
		return err
	}
	if err := c.checkOverlap(); err != nil {
		return err
	}
	if c.Overlay != "" && !slices.Contains(peers.Modes(), c.Overlay) {
		return fmt.Errorf("--overlay %q: want one of %s", c.Overlay, strings.Join(peers.Modes(), ", "))
	}
	if c.LoadBalancer != "node" && c.LoadBalancer != "none" {
		return fmt.Errorf("--load-balancer %q: want node or none", c.LoadBalancer)
	}
	if err := completeAccess(&c.Access); err != nil {
		return err
	}
	if err := c.checkPorts(); err != nil {
		return err
	}
	if c.CertificateLife < shortestLife {
		return fmt.Errorf("--certificate-life %s: want %s or more", c.CertificateLife, shortestLife)
	}
	if err := c.readSimulation(cmd.Flags().Changed("simulate")); err != nil {
		return err
	}
	if _, err := newLogger(io.Discard, c.LogLevel); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	if c.nodeAddress != "" {
		if c.NodeAddress, err = netip.ParseAddr(c.nodeAddress); err != nil {
			return fmt.Errorf("--node-address: %w", err)
		}
		c.AddressFixed = true
	}
	if err := c.checkNodeConfig(); err != nil {
		return err
	}
	if err := c.checkEndpoint(); err != nil {
		return err
	}
	if err := c.readScheduler(); err != nil {
		return err
	}
	return c.readDNS()
}

// anchorFolders makes the paths of folders ones that hold in every folder: the
// services run elsewhere, and so may the next command.
func (c *clusterFlags) anchorFolders() (err error) {
	for _, f := range []struct {
		flag string
		path *string
	}{{"data-dir", &c.DataDir}, {"run-dir", &c.RunDir}, {"pod-log-dir", &c.LogDir}} {
		if *f.path == "" {
			return fmt.Errorf("--%s: want a folder", f.flag)
		}
		if *f.path, err = filepath.Abs(*f.path); err != nil {
			return fmt.Errorf("--%s: %w", f.flag, err)
		}
	}
	return nil
}

// checkNodeConfig makes the path one that holds in every folder, and refuses a
// file that the node agent would refuse.
func (c *clusterFlags) checkNodeConfig() (err error) {
	if c.NodeConfig == "" {
		return nil
	}
	if c.NodeConfig, err = filepath.Abs(c.NodeConfig); err == nil {
		_, _, err = nodeconfig.Load(c.NodeConfig)
	}
	if err != nil {
		return fmt.Errorf("--node-config: %w", err)
	}
	return nil
}

// readScheduler refuses a configuration that the scheduler would refuse.
func (c *clusterFlags) readScheduler() (err error) {
	if c.SchedulerConfig == "" {
		return nil
	}
	if c.SchedulerConfig, err = filepath.Abs(c.SchedulerConfig); err != nil {
		return fmt.Errorf("--scheduler-config: %w", err)
	}
	if _, err := config.Load(c.SchedulerConfig); err != nil {
		return fmt.Errorf("--scheduler-config: %w", err)
	}
	return nil
}

// checkRegistries makes the path one that holds in every folder, and refuses a
// file that the runtime could not read.
func (c *clusterFlags) checkRegistries() (err error) {
	if c.Registries == "" {
		return nil
	}
	if c.Registries, err = filepath.Abs(c.Registries); err != nil {
		return fmt.Errorf("--registries: %w", err)
	}
	text, err := os.ReadFile(c.Registries)
	if err != nil {
		return fmt.Errorf("--registries: %w", err)
	}
	if !json.Valid(text) {
		return fmt.Errorf("--registries: %s is not JSON", c.Registries)
	}
	return nil
}

func (c *clusterFlags) checkOverlap() error {
	networks := []struct {
		flag string
		netip.Prefix
	}{{"pod-network", c.Pods}, {"service-network", c.Services}, {"node-network", c.NodeNetwork}}
	for i, a := range networks {
		for _, b := range networks[:i] {
			if a.Overlaps(b.Prefix) {
				return fmt.Errorf("--%s %s and --%s %s overlap", b.flag, b.Prefix, a.flag, a.Prefix)
			}
		}
	}
	return nil
}

// checkPorts refuses numbers that are no ports, and one port for two.
func (c *clusterFlags) checkPorts() error {
	taken := map[int]string{}
	for _, p := range []struct {
		flag string
		port int
	}{{"api-port", c.APIPort}, {"http-port", c.HTTPPort}, {"https-port", c.HTTPSPort}, {"kubelet-port", c.KubeletPort}} {
		if p.port < 1 || p.port > 65535 {
			return fmt.Errorf("--%s: want a port from 1 to 65535, got %d", p.flag, p.port)
		}
		if other, twice := taken[p.port]; twice {
			return fmt.Errorf("--%s and --%s are both %d: each needs a port of its own", other, p.flag, p.port)
		}
		taken[p.port] = p.flag
	}
	return nil
}

// readSimulation leaves open what was not asked for.
func (c *clusterFlags) readSimulation(asked bool) error {
	if n := c.simulate.Nodes; n < 0 || n > simulated.MaxNodes {
		return fmt.Errorf("--simulate %d: want 0 to %d", n, simulated.MaxNodes)
	}
	if c.simulate.Delay < 0 {
		return fmt.Errorf("--simulate-delay %s: want no less than 0", c.simulate.Delay)
	}
	if asked {
		c.Simulate = &c.simulate
	} else if c.simulate.Delay != 0 {
		return errors.New("--simulate-delay wants --simulate beside it")
	}
	return nil
}

func (c *clusterFlags) readDNS() (err error) {
	if c.dns == "" {
		c.DNS = nth(c.Services, 10)
		return nil
	}
	if c.DNS, err = netip.ParseAddr(c.dns); err != nil {
		return fmt.Errorf("--cluster-dns: %w", err)
	}
	if !c.Services.Contains(c.DNS) {
		return fmt.Errorf("--cluster-dns %s is not in the service network %s", c.DNS, c.Services)
	}
	return nil
}

func network(flag, text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("--%s: want a network such as 10.244.0.0/16: %w", flag, err)
	}
	if !p.Addr().Is4() || p.Masked() != p || p.Bits() > 24 {
		return p, fmt.Errorf("--%s: want an IPv4 network of /24 or larger, written with its first address; got %s", flag, text)
	}
	return p, nil
}

// nth is the address at a distance from the network's first.
func nth(p netip.Prefix, n int) netip.Addr {
	addr := p.Addr()
	for range n {
		addr = addr.Next()
	}
	return addr
}
