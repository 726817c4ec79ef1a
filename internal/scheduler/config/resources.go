package config

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// Bounds of what a person writes.
const (
	mostWeight      = 100
	mostUtilization = 100
	mostShapeScore  = 10 // stands for framework.MaxScore
)

func (r *reader) fit(path *field.Path, a *configv1.NodeResourcesFitArgs) settler {
	out := plugins.NodeResourcesFit{Ignored: set(a.IgnoredResources), IgnoredGroups: set(a.IgnoredResourceGroups)}
	for i, group := range a.IgnoredResourceGroups {
		if strings.Contains(group, "/") {
			r.invalid(path.Child("ignoredResourceGroups").Index(i), group, "resource group name can't contain '/'")
		}
	}
	if a.ScoringStrategy != nil {
		out.Strategy = r.strategy(path.Child("scoringStrategy"), a.ScoringStrategy)
	}
	return func(framework.Plugin) framework.Plugin { return out }
}

func set(names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

func (r *reader) strategy(path *field.Path, in *configv1.ScoringStrategy) plugins.Strategy {
	out := plugins.Strategy{Type: plugins.StrategyType(in.Type), Resources: r.resources(path.Child("resources"), in.Resources, mostWeight)}
	switch in.Type {
	case "":
		out.Type = plugins.LeastAllocated
	case configv1.LeastAllocated, configv1.MostAllocated:
	case configv1.RequestedToCapacityRatio:
		if in.RequestedToCapacityRatio == nil {
			r.errs = append(r.errs, field.Required(path.Child("requestedToCapacityRatio"), "must be specified when type is RequestedToCapacityRatio"))
			break
		}
		out.Shape = r.shape(path.Child("requestedToCapacityRatio", "shape"), in.RequestedToCapacityRatio.Shape)
	default:
		r.errs = append(r.errs, field.NotSupported(path.Child("type"), in.Type,
			[]configv1.ScoringStrategyType{configv1.LeastAllocated, configv1.MostAllocated, configv1.RequestedToCapacityRatio}))
	}
	return out
}

// resources reads a list; without entries it is CPU and memory.
func (r *reader) resources(path *field.Path, in []configv1.ResourceSpec, most int64) []plugins.WeightedResource {
	if len(in) == 0 {
		return []plugins.WeightedResource{{Name: corev1.ResourceCPU, Weight: 1}, {Name: corev1.ResourceMemory, Weight: 1}}
	}
	var out []plugins.WeightedResource
	seen := map[string]bool{}
	for i, one := range in {
		if one.Weight == 0 {
			one.Weight = 1
		}
		if one.Weight < 1 || one.Weight > most {
			r.invalid(path.Index(i).Child("weight"), one.Weight, weightText(most))
		}
		if seen[one.Name] {
			r.errs = append(r.errs, field.Duplicate(path.Index(i).Child("name"), one.Name))
		}
		seen[one.Name] = true
		out = append(out, plugins.WeightedResource{Name: corev1.ResourceName(one.Name), Weight: one.Weight})
	}
	return out
}

func weightText(most int64) string {
	if most == 1 {
		return "must be 1"
	}
	return "not in valid range [1-100]"
}

func (r *reader) shape(path *field.Path, in []configv1.UtilizationShapePoint) []plugins.ShapePoint {
	if len(in) == 0 {
		r.errs = append(r.errs, field.Required(path, "at least one point must be specified"))
	}
	var out []plugins.ShapePoint
	for i, p := range in {
		if p.Utilization < 0 || p.Utilization > mostUtilization {
			r.invalid(path.Index(i).Child("utilization"), p.Utilization, "not in valid range [0-100]")
		}
		if i > 0 && p.Utilization <= in[i-1].Utilization {
			r.invalid(path.Index(i).Child("utilization"), p.Utilization, "values must be sorted in increasing order")
		}
		if p.Score < 0 || p.Score > mostShapeScore {
			r.invalid(path.Index(i).Child("score"), p.Score, "not in valid range [0-10]")
		}
		out = append(out, plugins.ShapePoint{Utilization: int64(p.Utilization), Score: int64(p.Score) * (framework.MaxScore / mostShapeScore)})
	}
	return out
}

func (r *reader) balanced(path *field.Path, a *configv1.NodeResourcesBalancedAllocationArgs) settler {
	out := plugins.NodeResourcesBalanced{Resources: r.resources(path.Child("resources"), a.Resources, 1)}
	return func(framework.Plugin) framework.Plugin { return out }
}
