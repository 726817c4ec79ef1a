package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/scheduler"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// ours asks Knarr's plugins.
func ours(s *scene) map[string]verdict {
	var list []plugins.Weighted
	for _, w := range plugins.Default(s.sources()) {
		if _, wanted := compared[w.Name()]; wanted {
			list = append(list, w)
		}
	}
	o := scheduler.NewOffline(scheduler.Profile{Name: corev1.DefaultSchedulerName, Plugins: list}, 1)
	for _, n := range s.nodes {
		o.SetNode(n)
	}
	for _, p := range s.pods {
		o.AddPod(p)
	}
	out := map[string]verdict{}
	for name, r := range o.Rate(s.pod) {
		if r.Refused != nil {
			out[name] = verdict{Plugin: r.Refused.Plugin, Why: r.Refused.Reasons}
			continue
		}
		v := verdict{Fits: true, Scores: map[string]int64{}}
		for plugin, score := range r.Scores {
			v.Scores[plugin] = score * int64(compared[plugin])
		}
		out[name] = v
	}
	return out
}

func (s *scene) sources() plugins.Sources {
	return plugins.Sources{
		Namespace: func(name string) labels.Set {
			for _, n := range s.namespaces {
				if n.Name == name {
					return n.Labels
				}
			}
			return nil
		},
		Services: func(namespace string) (out []*corev1.Service) {
			for _, svc := range s.services {
				if svc.Namespace == namespace {
					out = append(out, svc)
				}
			}
			return out
		},
	}
}
