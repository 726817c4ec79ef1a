package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/plugins"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

// shown is a profile in short: its plugins in order, of scores with weights.
func shown(list []plugins.Weighted, point plugins.Point) []string {
	var out []string
	for _, w := range list {
		switch {
		case w.Without&point != 0:
		case point == plugins.Score:
			out = append(out, fmt.Sprintf("%s:%d", w.Name(), w.Weight))
		default:
			out = append(out, w.Name())
		}
	}
	return out
}

func without(list []string, name string) []string {
	var out []string
	for _, s := range list {
		if s != name && !strings.HasPrefix(s, name+":") {
			out = append(out, s)
		}
	}
	return out
}

func profileOf(t *testing.T, text string) []plugins.Weighted {
	t.Helper()
	c, err := Parse([]byte(head + text))
	if err != nil {
		t.Fatal(err)
	}
	return c.Profiles(plugins.Sources{})[0].Plugins
}

// standardAt is the default profile at a point; what has no score may have any
// weight.
func standardAt(point plugins.Point) []string {
	list := plugins.Default(plugins.Sources{})
	for i := range list {
		list[i].Weight = max(list[i].Weight, 1)
	}
	return shown(list, point)
}

func TestPlugins(t *testing.T) {
	filters, scores := standardAt(plugins.Filter), standardAt(plugins.Score)
	for _, c := range []struct {
		name, text string
		point      plugins.Point
		want       []string
	}{
		{name: "nothing said", text: "", point: plugins.Filter, want: filters},
		{name: "one left out everywhere", text: "profiles: [{plugins: {multiPoint: {disabled: [{name: ImageLocality}]}}}]", point: plugins.Score, want: without(scores, "ImageLocality")},
		{name: "one left out of scores", text: "profiles: [{plugins: {score: {disabled: [{name: TaintToleration}]}}}]", point: plugins.Score, want: without(scores, "TaintToleration")},
		{name: "and still filters", text: "profiles: [{plugins: {score: {disabled: [{name: TaintToleration}]}}}]", point: plugins.Filter, want: filters},
		{name: "only these", text: "profiles: [{plugins: {multiPoint: {disabled: [{name: '*'}], enabled: [{name: NodeName}, {name: NodeResourcesFit, weight: 7}]}}}]",
			point: plugins.Score, want: []string{"NodeName:1", "NodeResourcesFit:7"}},
		{name: "a filter asked first", text: "profiles: [{plugins: {filter: {enabled: [{name: NodePorts}]}}}]", point: plugins.Filter,
			want: append([]string{"NodePorts"}, without(filters, "NodePorts")...)},
		{name: "no filter but one", text: "profiles: [{plugins: {filter: {disabled: [{name: '*'}], enabled: [{name: NodePorts}]}}}]", point: plugins.Filter, want: []string{"NodePorts"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := shown(profileOf(t, c.text), c.point)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScoreWeights(t *testing.T) {
	list := profileOf(t, "profiles: [{plugins: {score: {disabled: [{name: NodeAffinity}], enabled: [{name: NodeAffinity, weight: 9}]}}}]")
	i := slices.IndexFunc(list, func(w plugins.Weighted) bool { return w.Name() == "NodeAffinity" })
	if i < 0 || list[i].Weight != 9 || list[i].Without&plugins.Score != 0 {
		t.Errorf("NodeAffinity is number %d of %+v", i, list)
	}
}

func TestArguments(t *testing.T) {
	list := profileOf(t, `
profiles:
- schedulerName: packed
  pluginConfig:
  - name: NodeResourcesFit
    args:
      apiVersion: kubescheduler.config.k8s.io/v1
      kind: NodeResourcesFitArgs
      ignoredResources: [example.com/x]
      scoringStrategy:
        type: RequestedToCapacityRatio
        resources: [{name: cpu, weight: 3}, {name: example.com/gpu}]
        requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]}
  - name: InterPodAffinity
    args: {hardPodAffinityWeight: 5, ignorePreferredTermsOfExistingPods: true}
  - name: PodTopologySpread
    args: {defaultingType: List, defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}
  - name: DefaultPreemption
    args: {minCandidateNodesAbsolute: 7}
`)
	seen := 0
	for _, w := range list {
		seen++
		switch p := w.Plugin.(type) {
		case plugins.NodeResourcesFit:
			want := plugins.Strategy{Type: plugins.RequestedToCapacityRatio, Resources: []plugins.WeightedResource{{Name: "cpu", Weight: 3}, {Name: "example.com/gpu", Weight: 1}},
				Shape: []plugins.ShapePoint{{}, {Utilization: 100, Score: 100}}}
			if diff := cmp.Diff(want, p.Strategy); diff != "" || !p.Ignored["example.com/x"] {
				t.Errorf("%v %s", p.Ignored, diff)
			}
		case *plugins.InterPodAffinity:
			if p.HardWeight != 5 || !p.IgnoreOthersPreferred {
				t.Errorf("%+v", p)
			}
		case *plugins.PodTopologySpread:
			if len(p.Defaults) != 1 || p.Defaults[0].TopologyKey != "zone" || p.Lenient {
				t.Errorf("%+v", p)
			}
		case plugins.DefaultPreemption:
			if p.LeastCount != 7 || p.LeastPercent != 10 {
				t.Errorf("%+v", p)
			}
		default:
			seen--
		}
	}
	if seen != 4 {
		t.Errorf("%d of the four plugins are there", seen)
	}
}

func TestSeveralProfilesAndPauses(t *testing.T) {
	c, err := Parse([]byte(head + `
parallelism: 4
percentageOfNodesToScore: 30
podInitialBackoffSeconds: 2
profiles:
- schedulerName: default-scheduler
- schedulerName: thorough
  percentageOfNodesToScore: 100
`))
	if err != nil {
		t.Fatal(err)
	}
	got := c.Profiles(plugins.Sources{})
	if len(got) != 2 || got[0].Name != corev1.DefaultSchedulerName || got[0].Percent != 30 || got[1].Name != "thorough" || got[1].Percent != 100 {
		t.Errorf("profiles %+v", got)
	}
	if want := (queue.Backoff{First: 2 * time.Second, Most: 10 * time.Second}); c.Backoff() != want {
		t.Errorf("pauses %+v", c.Backoff())
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"profile: []":                                                   `unknown field "profile"`,
		"parallelism: 0":                                                "parallelism: Invalid value: 0: should be an integer value greater than zero",
		"podMaxBackoffSeconds: 0":                                       "podMaxBackoffSeconds: Invalid value: 0",
		"percentageOfNodesToScore: 101":                                 "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
		"extenders: [{urlPrefix: 'http://x'}]":                          "extenders: Forbidden",
		"profiles: [{schedulerName: a}, {schedulerName: a}]":            `profiles[1].schedulerName: Duplicate value: "a"`,
		"profiles: [{schedulerName: a}, {}]":                            "profiles[1].schedulerName: Required value",
		"profiles: [{plugins: {score: {enabled: [{name: NodeNmae}]}}}]": `profiles[0].plugins.score.enabled[0].name: Unsupported value: "NodeNmae"`,
		"profiles: [{plugins: {multiPoint: {enabled: [{name: NodeName}, {name: NodeName}]}}}]":                                                                                                               "Duplicate value",
		"profiles: [{plugins: {bind: {disabled: [{name: '*'}]}}}]":                                                                                                                                           "profiles[0].plugins.bind: Invalid value",
		"profiles: [{plugins: {permit: {disabled: [{name: '*'}]}}}]":                                                                                                                                         "profiles[0].plugins.permit: Forbidden",
		"profiles: [{pluginConfig: [{name: NodeName, args: {}}]}]":                                                                                                                                           "there is no plugin of this name that takes arguments",
		"profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hard: 1}}]}]":                                                                                                                            `unknown field "hard"`,
		"profiles: [{pluginConfig: [{name: InterPodAffinity, args: {kind: XArgs}}]}]":                                                                                                                        "want kind InterPodAffinityArgs",
		"profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]":                                                                                                         "profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: 101",
		"profiles: [{pluginConfig: [{name: DefaultPreemption, args: {minCandidateNodesAbsolute: 0, minCandidateNodesPercentage: 0}}]}]":                                                                      "cannot be zero at the same time",
		"profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Best}}}]}]":                                                                                                      "Unsupported value",
		"profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: RequestedToCapacityRatio}}}]}]":                                                                                  "must be specified when type is RequestedToCapacityRatio",
		"profiles: [{pluginConfig: [{name: NodeResourcesBalancedAllocation, args: {resources: [{name: cpu, weight: 2}]}}]}]":                                                                                 "must be 1",
		"profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultConstraints: [{maxSkew: 1}]}}]}]":                                                                                                "when .defaultConstraints are not empty",
		"profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultingType: List, defaultConstraints: [{topologyKey: a, maxSkew: 0}]}}]}]":                                                          "not in valid range (0, inf)",
		"profiles: [{pluginConfig: [{name: NodeAffinity, args: {addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Near}]}]}}}}]}]": "operator",
	} {
		if _, err := Parse([]byte(head + text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	if _, err := Parse([]byte("apiVersion: v1\nkind: Pod\n")); err == nil {
		t.Error("a Pod is taken for a configuration")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "profiles: [{plugins: {multiPoint: {disabled: [{name: '*'}]}}}]"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		if c, err := Parse(text); err == nil {
			c.Profiles(plugins.Sources{})
		}
	})
}
