package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/eviction"
	"github.com/knarr-io/knarr/internal/node/images"
	"github.com/knarr-io/knarr/internal/node/kubeletapi"
	"github.com/knarr-io/knarr/internal/node/measure"
	"github.com/knarr-io/knarr/internal/node/objects"
	"github.com/knarr-io/knarr/internal/node/podcgroup"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/register"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/static"
	"github.com/knarr-io/knarr/internal/node/stats"
	"github.com/knarr-io/knarr/internal/node/userns"
	"github.com/knarr-io/knarr/internal/node/volumes"
	"github.com/knarr-io/knarr/internal/node/worker"
)

// Node is a running node agent.
type Node struct {
	cfg        Config
	runtime    *cri.Client
	registrar  *register.Registrar
	volumes    *volumes.Manager
	pods       *worker.Manager
	recorder   *record.Recorder
	machine    *register.Machine
	metrics    *measure.Metrics
	puller     *images.Puller
	images     *images.Collector
	eviction   *eviction.Manager
	podCgroups *podcgroup.Manager
	informers  *client.Informers // of pods and nodes, and of services where none were given
	stopping   atomic.Bool       // Shutdown was called
	wg         sync.WaitGroup
	failed     chan error
}

// Start starts the agent and returns at once; it runs until ctx ends. Errors
// are those of the configuration and of the machine. It waits for neither the
// runtime nor the API: the node becomes Ready when both answer.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	for _, dir := range []string{cfg.RootDir, cfg.LogDir, cfg.SeccompDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("node: %w", err)
		}
	}
	machine, err := register.ReadMachine(cfg.RootDir)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	metrics := measure.New(cfg.NodeName, cfg.Version)
	runtime, err := cri.Dial(cfg.RuntimeEndpoint, metrics.Operation)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n := &Node{
		cfg: cfg, runtime: runtime, machine: machine, metrics: metrics, failed: make(chan error, 1),
		recorder: record.New(cfg.Client, "kubelet", cfg.NodeName, cfg.Logger),
	}
	if err := n.wire(ctx); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	n.run(ctx)
	return n, nil
}

// wire makes the parts, from those that need nothing to those that need all.
func (n *Node) wire(ctx context.Context) error {
	cfg := &n.cfg
	n.informers = client.NewInformers(cfg.Client, cfg.Logger)
	services := n.informers
	if cfg.Informers != nil {
		services = cfg.Informers
	}
	nodes := client.InformerWith[*corev1.Node](n.informers, client.Selection{Fields: "metadata.name=" + cfg.NodeName})
	pods := client.InformerWith[*corev1.Pod](n.informers, client.Selection{Fields: "spec.nodeName=" + cfg.NodeName})
	k := cfg.Kubelet
	n.registrar = register.New(register.Config{
		Name: cfg.NodeName, Hostname: cfg.Hostname, Addresses: cfg.Addresses, Port: cfg.Port, Version: cfg.Version,
		MaxPods: k.PodLimit(n.machine.CPUs), Labels: cfg.Labels, Annotations: cfg.Annotations, Taints: cfg.Taints, LocalVolumes: volumes.LocalDir(cfg.RootDir),
		Reserved: k.Reserved, Eviction: k.Eviction, Machine: n.machine, PodCIDR: cfg.PodCIDR,
		Pressure:     func(c corev1.NodeConditionType) bool { return n.eviction.Has(c) },
		Stopping:     n.stopping.Load,
		LeaseSeconds: k.LeaseSeconds, ReportEvery: k.ReportEvery, MaxImages: k.MaxImages, ProviderID: k.ProviderID,
		Client: cfg.Client, Informer: nodes, Runtime: n.runtime, Recorder: n.recorder, Logger: cfg.Logger,
	})
	cache := objects.New(ctx, cfg.Client, cfg.Logger)
	vols, err := volumes.New(cfg.RootDir, cfg.Client, cache)
	if err != nil {
		return err
	}
	n.volumes = vols
	users, err := userns.Open(cfg.RootDir)
	if err != nil {
		return err
	}
	var manifests *static.Source
	if cfg.StaticPods != "" {
		if manifests, err = static.NewSource(cfg.StaticPods, cfg.NodeName, client.For[*corev1.Pod](cfg.Client).Kind(), cfg.Logger); err != nil {
			return err
		}
	}
	n.puller = images.NewPuller(n.runtime, k.ParallelPulls, k.Verify, filepath.Join(cfg.RootDir, "image_manager"), filepath.Join(cfg.RootDir, "config.json"))
	n.puller.Pulled = n.metrics.ImagePulled
	n.images = images.NewCollector(n.runtime, k.Images, n.puller.Removed)
	n.podCgroups = n.cgroups()
	n.pods = worker.NewManager(&worker.Deps{
		Runtime: n.runtime, Client: cfg.Client, Objects: cache, Volumes: vols, Users: users,
		Puller: n.puller, Recorder: n.recorder, Metrics: n.metrics,
		Services: client.InformerFor[*corev1.Service](services), Logger: cfg.Logger,
		NodeName: cfg.NodeName, Node: n.registrar.Node, HostIPs: cfg.Addresses, LogRoot: cfg.LogDir, Profiles: cfg.SeccompDir,
		CgroupRoot: cfg.CgroupRoot, Cluster: render.Cluster{DNS: cfg.ClusterDNS, Domain: cfg.ClusterDomain},
		HostResolver: func() render.Resolver { return hostResolver(cfg.ResolvConf, cfg.Logger) }, MemoryCapacity: n.machine.MemoryBytes,
		RuntimeName: cfg.RuntimeName, BeforeStop: cfg.BeforeStop, Admit: cfg.Admit, Cgroups: n.podCgroups,
		Static: manifests, DefaultSeccomp: k.DefaultSeccomp, NoCPUQuota: !k.CPUQuota, CrashDelay: k.CrashDelay, MountPatience: k.MountPatience, UnsafeSysctls: k.UnsafeSysctls,
		Pressure: func(c corev1.NodeConditionType) bool { return n.eviction.Has(c) }, Stopping: n.stopping.Load,
	}, pods)
	n.eviction = eviction.New(eviction.Host{
		Config: k.Eviction, Runtime: n.runtime, Root: cfg.RootDir, LogRoot: cfg.LogDir, EmptyDir: vols.EmptyDir,
		Pods: n.pods.Pods, Evict: n.evict, Evicted: n.metrics.Evicted, Reclaim: n.reclaim, Changed: n.registrar.Check, Event: n.registrar.Event, Logger: cfg.Logger,
	})
	return nil
}

// cgroups are those of pods, bounded as the settings say.
func (n *Node) cgroups() *podcgroup.Manager {
	k := n.cfg.Kubelet
	options := podcgroup.Options{Root: n.cfg.CgroupRoot, PIDs: k.PodPIDs, NoCPUQuota: !k.CPUQuota}
	if k.EnforcePods {
		options.Pods = n.machine.Allocatable(k.PodLimit(n.machine.CPUs), k.Reserved, eviction.Config{})
	}
	return podcgroup.New(options)
}

// evict ends a pod since the node is short of something.
func (n *Node) evict(uid types.UID, message string, grace time.Duration) <-chan struct{} {
	return n.pods.End(uid, podstate.Verdict{
		Reason: eviction.Reason, Message: message, Deadline: time.Now().Add(grace), Disruption: true,
	}, eviction.Reason)
}

// run starts the parts' goroutines.
func (n *Node) run(ctx context.Context) {
	n.informers.Start(ctx)
	n.wg.Go(func() { n.recorder.Run(ctx) })
	n.wg.Go(func() { n.report(ctx, n.registrar.Run(ctx)) })
	n.wg.Go(func() { n.report(ctx, n.pods.Run(ctx)) })
	n.wg.Go(func() { n.keepHouse(ctx) })
	n.wg.Go(func() { n.report(ctx, n.watchClock(ctx)) })
	n.wg.Go(func() { n.report(ctx, n.eviction.Run(ctx)) })
	n.wg.Go(func() { n.report(ctx, n.volumes.Run(ctx, n.cfg.Logger)) })
	if n.cfg.Listener != nil {
		n.wg.Go(func() { n.report(ctx, n.serve(ctx)) })
	}
}

func (n *Node) serve(ctx context.Context) error {
	provider := stats.New(stats.Config{
		NodeName: n.cfg.NodeName, Runtime: n.runtime, Root: n.cfg.RootDir, LogRoot: n.cfg.LogDir, CgroupRoot: n.cfg.CgroupRoot,
		PodDir: n.volumes.PodDir, Started: time.Now(), Pods: n.pods.Pods,
	})
	if err := n.metrics.Register(provider.State()); err != nil {
		return err
	}
	api := kubeletapi.New(kubeletapi.Config{
		NodeName: n.cfg.NodeName, LogRoot: n.cfg.LogDir, SystemLogs: systemLogs, Pods: n.pods, Runtime: n.runtime,
		Stats: provider, Metrics: n.metrics, Settings: settings(&n.cfg),
		Client: n.cfg.Client, Certificate: n.cfg.Certificate, ClientCAs: n.cfg.ClientCAs, Logger: n.cfg.Logger,
		EdgeMetrics: n.cfg.EdgeMetrics, Peers: n.cfg.Peers,
	})
	return api.Serve(ctx, n.cfg.Listener)
}

func (n *Node) report(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	select {
	case n.failed <- err:
	default:
	}
}

// Failed gives an error when a part of the agent has ended before its time.
func (n *Node) Failed() <-chan error { return n.failed }

// Wait blocks until everything has stopped, after the end of Start's ctx.
// Containers run on.
func (n *Node) Wait() error {
	n.wg.Wait()
	n.informers.Wait()
	return n.runtime.Close()
}

// Pods is the manager of the node's pods, for those in the same process who
// ask what runs here.
func (n *Node) Pods() *worker.Manager { return n.pods }

// Cleanup removes everything that an agent with these folders left on the
// machine: mounts, volumes and logs. Nothing of it may run any more.
func Cleanup(rootDir, logDir string) error {
	for _, dir := range []string{rootDir, logDir} {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" {
			return fmt.Errorf("node: %q is not a folder to clean up", dir)
		}
	}
	if err := volumes.Cleanup(rootDir); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return os.RemoveAll(logDir)
}
