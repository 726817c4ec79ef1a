package config

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// enabled is a plugin of a profile, with the points at which it does not
// speak.
type enabled struct {
	name    string
	weight  int64
	without plugins.Point
}

// Plugins of upstream that are part of the scheduler itself here. They can be
// named, and cannot be left out.
const (
	queueSort     = "PrioritySort"
	defaultBinder = "DefaultBinder"
)

// absent are plugins of upstream's default profile that do nothing here.
var absent = map[string]bool{"NodeDeclaredFeatures": true}

// standard is the default profile, as configurations know it.
func standard() []configv1.Plugin {
	var out []configv1.Plugin
	for _, w := range plugins.Default(plugins.Sources{}) {
		p := configv1.Plugin{Name: w.Name()}
		if w.Weight > 0 {
			p.Weight = new(int32(w.Weight))
		}
		out = append(out, p)
	}
	return out
}

// plugins resolves what a profile wants into plugins in the order in which
// their filters are asked.
func (r *reader) plugins(path *field.Path, in *configv1.Plugins) []enabled {
	r.checkNames(path, in)
	r.checkFixed(path, in)
	all := merge(standard(), in.MultiPoint)
	byName := map[string]*enabled{}
	var order []string
	for _, point := range []struct {
		at  plugins.Point
		set configv1.PluginSet
	}{{plugins.Filter, in.Filter}, {plugins.PreFilter, in.PreFilter}, {plugins.PreEnqueue, in.PreEnqueue}, {plugins.PostFilter, in.PostFilter},
		{plugins.PreScore, in.PreScore}, {plugins.Score, in.Score}} {
		for _, p := range expand(all, point.set) {
			if absent[p.Name] || p.Name == queueSort || p.Name == defaultBinder {
				continue
			}
			e := byName[p.Name]
			if e == nil {
				e = &enabled{name: p.Name, weight: 1, without: everyPoint}
				byName[p.Name], order = e, append(order, p.Name)
			}
			e.without &^= point.at
			if point.at == plugins.Score && p.Weight != nil && *p.Weight > 0 {
				e.weight = int64(*p.Weight)
			}
		}
	}
	var out []enabled
	for _, name := range order {
		out = append(out, *byName[name])
	}
	return out
}

const everyPoint = plugins.PreEnqueue | plugins.PreFilter | plugins.Filter | plugins.PostFilter | plugins.PreScore | plugins.Score

// merge changes the defaults: what is disabled goes, what is enabled under a
// name that is there takes its place, and the rest comes at the end.
func merge(defaults []configv1.Plugin, set configv1.PluginSet) []configv1.Plugin {
	var out []configv1.Plugin
	replaced := map[string]bool{}
	if !names(set.Disabled)["*"] {
		for _, p := range defaults {
			if names(set.Disabled)[p.Name] {
				continue
			}
			for _, own := range set.Enabled {
				if own.Name == p.Name {
					p, replaced[p.Name] = own, true
				}
			}
			out = append(out, p)
		}
	}
	for _, own := range set.Enabled {
		if !replaced[own.Name] {
			out = append(out, own)
		}
	}
	return out
}

// expand gives the plugins at one point: those that are named there although
// they are there anyway, then the others that are there anyway, then the rest
// of those that are named.
func expand(all []configv1.Plugin, set configv1.PluginSet) []configv1.Plugin {
	off, everywhere, named := names(set.Disabled), names(all), names(set.Enabled)
	var first, then, last []configv1.Plugin
	for _, p := range set.Enabled {
		if everywhere[p.Name] && !off[p.Name] && !off["*"] {
			first = append(first, p)
		} else {
			last = append(last, p)
		}
	}
	for _, p := range all {
		if !off["*"] && !off[p.Name] && !named[p.Name] {
			then = append(then, p)
		}
	}
	return slices.Concat(first, then, last)
}

func names(list []configv1.Plugin) map[string]bool {
	out := map[string]bool{}
	for _, p := range list {
		out[p.Name] = true
	}
	return out
}

// checkNames refuses plugins that do not exist, and one that is named twice.
func (r *reader) checkNames(path *field.Path, in *configv1.Plugins) {
	known := names(standard())
	maps.Copy(known, absent)
	known[queueSort], known[defaultBinder] = true, true
	for name, set := range pointsOf(in) {
		for kind, list := range map[string][]configv1.Plugin{"enabled": set.Enabled, "disabled": set.Disabled} {
			seen := map[string]bool{}
			for i, p := range list {
				at := path.Child(name, kind).Index(i).Child("name")
				switch {
				case kind == "disabled" && p.Name == "*":
				case !known[p.Name]:
					r.errs = append(r.errs, field.NotSupported(at, p.Name, slices.Sorted(maps.Keys(known))))
				case seen[p.Name]:
					r.errs = append(r.errs, field.Duplicate(at, p.Name))
				}
				seen[p.Name] = true
			}
		}
	}
}

// checkFixed refuses changes at points that are the scheduler's own here.
func (r *reader) checkFixed(path *field.Path, in *configv1.Plugins) {
	for _, fixed := range []struct {
		name, only string
		set        configv1.PluginSet
	}{{"queueSort", queueSort, in.QueueSort}, {"bind", defaultBinder, in.Bind}} {
		on := names(fixed.set.Enabled)
		off := names(fixed.set.Disabled)
		delete(on, fixed.only)
		if len(on) > 0 || (off["*"] || off[fixed.only]) && !names(fixed.set.Enabled)[fixed.only] {
			r.invalid(path.Child(fixed.name), fixed.set, "there is no plugin but "+fixed.only+" for this point, and it cannot do without one")
		}
	}
	for name, set := range map[string]configv1.PluginSet{"reserve": in.Reserve, "permit": in.Permit, "preBind": in.PreBind, "postBind": in.PostBind,
		"placementGenerate": in.PlacementGenerate, "placementScore": in.PlacementScore} {
		if len(set.Enabled)+len(set.Disabled) > 0 {
			r.errs = append(r.errs, field.Forbidden(path.Child(name), "plugins cannot be chosen for this point: enable or disable them by multiPoint"))
		}
	}
}

func pointsOf(in *configv1.Plugins) map[string]configv1.PluginSet {
	return map[string]configv1.PluginSet{"multiPoint": in.MultiPoint, "preEnqueue": in.PreEnqueue, "queueSort": in.QueueSort, "preFilter": in.PreFilter,
		"filter": in.Filter, "postFilter": in.PostFilter, "preScore": in.PreScore, "score": in.Score, "bind": in.Bind}
}

// assemble makes the profile's plugins.
func (p *profile) assemble(from plugins.Sources) []plugins.Weighted {
	byName := map[string]plugins.Weighted{}
	for _, w := range plugins.Default(from) {
		byName[w.Name()] = w
	}
	var out []plugins.Weighted
	for _, e := range p.order {
		w := byName[e.name]
		if settle := p.settle[e.name]; settle != nil {
			w.Plugin = settle(w.Plugin)
		}
		w.Weight, w.Without = e.weight, e.without
		out = append(out, w)
	}
	return out
}
