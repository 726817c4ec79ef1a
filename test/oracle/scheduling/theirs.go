package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

// compared are the plugins that are held against upstream's, with upstream's
// weights; the others look at objects that scenes do not have.
var compared = map[string]int32{
	"NodeUnschedulable": 0, "NodeName": 0, "TaintToleration": 3, "NodeAffinity": 2, "NodePorts": 0, "NodeResourcesFit": 1,
	"PodTopologySpread": 2, "InterPodAffinity": 2, "NodeResourcesBalancedAllocation": 1, "ImageLocality": 1,
}

// verdict is what one of the two schedulers says of a node.
type verdict struct {
	Fits   bool
	Plugin string   // who refused
	Why    []string // and what users read
	Scores map[string]int64
}

// upstreamProfile is upstream's default one, without the plugins that are not
// compared. Upstream's metrics must be registered once in a process.
func upstreamProfile() (*config.KubeSchedulerProfile, error) {
	metrics.Register()
	all, err := latest.Default()
	if err != nil {
		return nil, err
	}
	p := &all.Profiles[0]
	var kept []config.Plugin
	for _, plugin := range p.Plugins.MultiPoint.Enabled {
		_, wanted := compared[plugin.Name]
		if wanted || plugin.Name == "PrioritySort" || plugin.Name == "DefaultBinder" {
			kept = append(kept, plugin)
		}
	}
	p.Plugins.MultiPoint.Enabled = kept
	return p, nil
}

func (s *scene) objects() []runtime.Object {
	var out []runtime.Object
	for _, n := range s.namespaces {
		out = append(out, n)
	}
	for _, svc := range s.services {
		out = append(out, svc)
	}
	return out
}

// theirs asks upstream's plugins.
func theirs(ctx context.Context, p *config.KubeSchedulerProfile, s *scene) (map[string]verdict, error) {
	client := fake.NewClientset(s.objects()...)
	informed := informers.NewSharedInformerFactory(client, 0)
	snapshot := cache.NewSnapshot(s.pods, s.nodes)
	f, err := frameworkruntime.NewFramework(ctx, plugins.NewInTreeRegistry(), p,
		frameworkruntime.WithClientSet(client), frameworkruntime.WithInformerFactory(informed), frameworkruntime.WithSnapshotSharedLister(snapshot))
	if err != nil {
		return nil, fmt.Errorf("make upstream's framework: %w", err)
	}
	defer f.Close()
	ctx, stop := context.WithCancel(ctx)
	defer informed.Shutdown()
	defer stop()
	informed.Start(ctx.Done())
	informed.WaitForCacheSync(ctx.Done())
	return ask(ctx, f, snapshot, s)
}

func ask(ctx context.Context, f framework.Framework, snapshot *cache.Snapshot, s *scene) (map[string]verdict, error) {
	out := map[string]verdict{}
	state := framework.NewCycleState()
	narrowed, status, _ := f.RunPreFilterPlugins(ctx, state, s.pod)
	if !status.IsSuccess() {
		if status.Code() == fwk.Error {
			return nil, status.AsError()
		}
		for _, n := range s.nodes {
			out[n.Name] = verdict{Plugin: status.Plugin(), Why: status.Reasons()}
		}
		return out, nil
	}
	var fit []fwk.NodeInfo
	for _, n := range s.nodes {
		info, err := snapshot.NodeInfos().Get(n.Name)
		if err != nil {
			return nil, err
		}
		if !narrowed.AllNodes() && !narrowed.NodeNames.Has(n.Name) {
			out[n.Name] = verdict{}
			continue
		}
		if st := f.RunFilterPlugins(ctx, state, s.pod, info); !st.IsSuccess() {
			out[n.Name] = verdict{Plugin: st.Plugin(), Why: st.Reasons()}
			continue
		}
		fit = append(fit, info)
	}
	return out, score(ctx, f, state, s.pod, fit, out)
}

func score(ctx context.Context, f framework.Framework, state fwk.CycleState, pod *corev1.Pod, fit []fwk.NodeInfo, out map[string]verdict) error {
	if len(fit) == 0 {
		return nil
	}
	if st := f.RunPreScorePlugins(ctx, state, pod, fit); !st.IsSuccess() {
		return st.AsError()
	}
	all, st := f.RunScorePlugins(ctx, state, pod, fit)
	if !st.IsSuccess() {
		return st.AsError()
	}
	for _, n := range all {
		v := verdict{Fits: true, Scores: map[string]int64{}}
		for _, one := range n.Scores {
			v.Scores[one.Name] = one.Score
		}
		out[n.Name] = v
	}
	return nil
}
