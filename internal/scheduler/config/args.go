package config

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// settler puts arguments into a plugin of the default profile.
type settler = func(framework.Plugin) framework.Plugin

// args reads a plugin's arguments.
func (r *reader) args(path *field.Path, name string, raw []byte) (settler, error) {
	switch name {
	case "NodeResourcesFit":
		return read(raw, name, func(a *configv1.NodeResourcesFitArgs) settler { return r.fit(path, a) })
	case "NodeResourcesBalancedAllocation":
		return read(raw, name, func(a *configv1.NodeResourcesBalancedAllocationArgs) settler { return r.balanced(path, a) })
	case "NodeAffinity":
		return read(raw, name, func(a *configv1.NodeAffinityArgs) settler { return r.affinity(path, a) })
	case "InterPodAffinity":
		return read(raw, name, func(a *configv1.InterPodAffinityArgs) settler { return r.podAffinity(path, a) })
	case "PodTopologySpread":
		return read(raw, name, func(a *configv1.PodTopologySpreadArgs) settler { return r.spread(path, a) })
	case "DefaultPreemption":
		return read(raw, name, func(a *configv1.DefaultPreemptionArgs) settler { return r.preemption(path, a) })
	case "VolumeBinding":
		return read(raw, name, func(a *configv1.VolumeBindingArgs) settler { return r.volumeBinding(path, a) })
	case "DynamicResources":
		return read(raw, name, func(a *configv1.DynamicResourcesArgs) settler { return r.devices(path, a) })
	}
	return unchanged, errNoArgs
}

func unchanged(p framework.Plugin) framework.Plugin { return p }

// read decodes strictly. The kind may be left out.
func read[A any](raw []byte, name string, then func(*A) settler) (settler, error) {
	var args A
	if err := yaml.UnmarshalStrict(raw, &args); err != nil {
		return unchanged, err
	}
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(raw, &head); err != nil {
		return unchanged, err
	}
	if want := name + "Args"; head.Kind != "" && head.Kind != want || head.APIVersion != "" && head.APIVersion != configv1.SchemeGroupVersion.String() {
		return unchanged, fmt.Errorf("want kind %s of %s, got %q of %q", want, configv1.SchemeGroupVersion, head.Kind, head.APIVersion)
	}
	return then(&args), nil
}

func (r *reader) affinity(path *field.Path, a *configv1.NodeAffinityArgs) settler {
	added := a.AddedAffinity
	if added == nil {
		return unchanged
	}
	path = path.Child("addedAffinity")
	var out plugins.NodeAffinity
	var err error
	if terms := added.RequiredDuringSchedulingIgnoredDuringExecution; terms != nil {
		if out.Added, err = nodeaffinity.NewNodeSelector(terms, field.WithPath(path.Child("requiredDuringSchedulingIgnoredDuringExecution"))); err != nil {
			r.invalid(path, added, err.Error())
		}
	}
	if terms := added.PreferredDuringSchedulingIgnoredDuringExecution; len(terms) > 0 {
		if out.AddedPreferred, err = nodeaffinity.NewPreferredSchedulingTerms(terms, field.WithPath(path.Child("preferredDuringSchedulingIgnoredDuringExecution"))); err != nil {
			r.invalid(path, added, err.Error())
		}
	}
	return func(framework.Plugin) framework.Plugin { return out }
}

func (r *reader) podAffinity(path *field.Path, a *configv1.InterPodAffinityArgs) settler {
	weight := int32(1)
	if a.HardPodAffinityWeight != nil {
		weight = *a.HardPodAffinityWeight
	}
	if weight < 0 || weight > 100 {
		r.invalid(path.Child("hardPodAffinityWeight"), weight, "not in valid range [0-100]")
	}
	return func(p framework.Plugin) framework.Plugin {
		out := *p.(*plugins.InterPodAffinity)
		out.HardWeight, out.IgnoreOthersPreferred = weight, a.IgnorePreferredTermsOfExistingPods
		return &out
	}
}

func (r *reader) preemption(path *field.Path, a *configv1.DefaultPreemptionArgs) settler {
	percent, count := int32(10), int32(100)
	if a.MinCandidateNodesPercentage != nil {
		percent = *a.MinCandidateNodesPercentage
	}
	if a.MinCandidateNodesAbsolute != nil {
		count = *a.MinCandidateNodesAbsolute
	}
	if percent < 0 || percent > 100 {
		r.invalid(path.Child("minCandidateNodesPercentage"), percent, "not in valid range [0, 100]")
	}
	if count < 0 {
		r.invalid(path.Child("minCandidateNodesAbsolute"), count, "not in valid range [0, inf)")
	}
	if percent == 0 && count == 0 {
		r.invalid(path.Child("minCandidateNodesPercentage"), percent, "cannot be zero at the same time as minCandidateNodesAbsolute")
	}
	return func(framework.Plugin) framework.Plugin {
		return plugins.DefaultPreemption{LeastPercent: percent, LeastCount: count}
	}
}

func (r *reader) spread(path *field.Path, a *configv1.PodTopologySpreadArgs) settler {
	switch a.DefaultingType {
	case "", configv1.SystemDefaulting:
		if len(a.DefaultConstraints) > 0 {
			r.invalid(path.Child("defaultingType"), configv1.SystemDefaulting, "when .defaultConstraints are not empty")
		}
		return unchanged
	case configv1.ListDefaulting:
	default:
		r.errs = append(r.errs, field.NotSupported(path.Child("defaultingType"), a.DefaultingType,
			[]configv1.PodTopologySpreadConstraintsDefaulting{configv1.SystemDefaulting, configv1.ListDefaulting}))
	}
	for i := range a.DefaultConstraints {
		r.constraint(path.Child("defaultConstraints").Index(i), &a.DefaultConstraints[i], a.DefaultConstraints[:i])
	}
	return func(p framework.Plugin) framework.Plugin {
		out := *p.(*plugins.PodTopologySpread)
		out.Defaults, out.Lenient = a.DefaultConstraints, false
		return &out
	}
}

// constraint checks a default; it must not select pods, since each pod's own
// controller and Services do.
func (r *reader) constraint(path *field.Path, c *corev1.TopologySpreadConstraint, before []corev1.TopologySpreadConstraint) {
	if c.MaxSkew <= 0 {
		r.invalid(path.Child("maxSkew"), c.MaxSkew, "not in valid range (0, inf)")
	}
	if c.TopologyKey == "" {
		r.errs = append(r.errs, field.Required(path.Child("topologyKey"), "can not be empty"))
	}
	if c.WhenUnsatisfiable != corev1.DoNotSchedule && c.WhenUnsatisfiable != corev1.ScheduleAnyway {
		r.errs = append(r.errs, field.NotSupported(path.Child("whenUnsatisfiable"), c.WhenUnsatisfiable,
			[]corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}))
	}
	if c.LabelSelector != nil {
		r.errs = append(r.errs, field.Forbidden(path.Child("labelSelector"), "constraint must not define a selector, as they deduced for each pod"))
	}
	for i := range before {
		if before[i].TopologyKey == c.TopologyKey && before[i].WhenUnsatisfiable == c.WhenUnsatisfiable {
			r.errs = append(r.errs, field.Duplicate(path, fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable)))
		}
	}
}

func (r *reader) volumeBinding(path *field.Path, a *configv1.VolumeBindingArgs) settler {
	if len(a.Shape) > 0 {
		r.invalid(path.Child("shape"), a.Shape, "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring")
	}
	if a.BindTimeoutSeconds != nil && *a.BindTimeoutSeconds < 0 {
		r.invalid(path.Child("bindTimeoutSeconds"), *a.BindTimeoutSeconds, "invalid BindTimeoutSeconds, should not be a negative value")
	}
	return unchanged
}

// devices takes the bounds; a search without one would hold every other pod
// up, so that zero, which upstream takes for no bound, keeps ours.
func (r *reader) devices(path *field.Path, a *configv1.DynamicResourcesArgs) settler {
	if a.FilterTimeout != nil && a.FilterTimeout.Duration < 0 {
		r.invalid(path.Child("filterTimeout"), a.FilterTimeout.Duration, "must be zero or positive")
	}
	if a.BindingTimeout != nil && a.BindingTimeout.Duration < time.Second {
		r.invalid(path.Child("bindingTimeout"), a.BindingTimeout.Duration, "must be at least 1 second")
	}
	return func(p framework.Plugin) framework.Plugin {
		out := *p.(*plugins.DynamicResources)
		if a.FilterTimeout != nil && a.FilterTimeout.Duration > 0 {
			out.Search = a.FilterTimeout.Duration
		}
		if a.BindingTimeout != nil {
			out.Wait = a.BindingTimeout.Duration
		}
		return &out
	}
}
