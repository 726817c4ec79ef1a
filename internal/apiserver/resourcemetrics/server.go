package resourcemetrics

import (
	"context"
	"errors"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/metrics"
	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what a Server works with. All fields are required but Logger.
type Config struct {
	Kinds   *catalog.Catalog
	Objects *cache.Cache
	Ask     Ask
	Logger  *slog.Logger
}

// Server answers the group. Safe for concurrent use; Run runs it.
type Server struct {
	*Collector
	pods, nodes       *cache.Resource
	podKind, nodeKind *api.Kind
	now               func() time.Time
}

// New makes a server.
func New(c Config) (*Server, error) {
	resource := func(name string) *cache.Resource {
		if k := c.Kinds.Resource(corev1.SchemeGroupVersion.WithResource(name)); k != nil {
			return c.Objects.Of(k)
		}
		return nil
	}
	s := &Server{pods: resource("pods"), nodes: resource("nodes"), podKind: metrics.Pods(), nodeKind: metrics.Nodes(), now: time.Now}
	if s.pods == nil || s.nodes == nil {
		return nil, errors.New("the catalogue of kinds does not hold pods and nodes")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s.Collector = NewCollector(c.Ask, s.find, c.Logger)
	return s, nil
}

// find looks a node up that can be asked; nil: there is none.
func (s *Server) find(name string) *corev1.Node {
	item, found := s.nodes.Get("", name)
	if !found {
		return nil
	}
	node := item.Object.(*corev1.Node)
	if simulated.Is(node) {
		return nil
	}
	return node
}

// GroupVersion is what the server answers for.
func GroupVersion() schema.GroupVersion { return v1beta1.SchemeGroupVersion }

// Resources are what discovery shows, as metrics-server's does.
func Resources() []metav1.APIResource {
	var out []metav1.APIResource
	for _, k := range metrics.Kinds() {
		out = append(out, metav1.APIResource{Name: k.Resource, Namespaced: k.Namespaced, Kind: k.GVK.Kind, Verbs: k.Verbs})
	}
	return out
}

// nodeMetrics are the figures of nodes, in the order given; those of which
// nothing is known are left out.
func (s *Server) nodeMetrics(ctx context.Context, nodes []*corev1.Node) []v1beta1.NodeMetrics {
	since := make(map[string]time.Time, len(nodes))
	for _, n := range nodes {
		if !simulated.Is(n) {
			since[n.Name] = time.Time{}
		}
	}
	windows := s.Windows(ctx, since)
	out := []v1beta1.NodeMetrics{}
	for _, n := range nodes {
		u, ok := windows[n.Name].node()
		if !ok {
			continue
		}
		out = append(out, v1beta1.NodeMetrics{
			ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels, CreationTimestamp: metav1.NewTime(s.now())},
			Timestamp:  metav1.NewTime(u.at), Window: metav1.Duration{Duration: u.window}, Usage: u.usage,
		})
	}
	return out
}

// podMetrics are the figures of pods, in the order given; those that do not
// run, or of which nothing is known, are left out.
func (s *Server) podMetrics(ctx context.Context, pods []*corev1.Pod) []v1beta1.PodMetrics {
	windows := s.Windows(ctx, s.wanted(pods))
	out := []v1beta1.PodMetrics{}
	for _, p := range pods {
		if p.Status.Phase != corev1.PodRunning {
			continue
		}
		containers, u, ok := windows[p.Spec.NodeName].pod(nameOf(p))
		if !ok {
			continue
		}
		out = append(out, v1beta1.PodMetrics{
			ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace, Labels: p.Labels, CreationTimestamp: metav1.NewTime(s.now())},
			Timestamp:  metav1.NewTime(u.at), Window: metav1.Duration{Duration: u.window}, Containers: containers,
		})
	}
	return out
}

// wanted says from when on the pods' nodes have to be sampled so that each
// container that has run for a moment is seen.
func (s *Server) wanted(pods []*corev1.Pod) map[string]time.Time {
	now := s.now()
	out := map[string]time.Time{}
	for _, p := range pods {
		if p.Status.Phase != corev1.PodRunning || s.find(p.Spec.NodeName) == nil {
			continue
		}
		after := out[p.Spec.NodeName]
		for i := range p.Status.ContainerStatuses {
			running := p.Status.ContainerStatuses[i].State.Running
			if running == nil {
				continue
			}
			if seen := running.StartedAt.Add(freshFor + time.Second); seen.After(after) && !seen.After(now) {
				after = seen
			}
		}
		out[p.Spec.NodeName] = after
	}
	return out
}
