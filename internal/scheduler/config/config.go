// Package config reads a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1)
// and says which profiles the scheduler has. It is strict: an unknown field, a
// plugin that does not exist, or a value out of range is refused with its
// place. It is pure but for reading the file.
//
// What a configuration may say that has no meaning here is accepted and
// without effect: connections, leader election, debugging and parallelism are
// matters of a scheduler in a process of its own. Extenders are refused, since
// leaving them out would place pods where they must not be.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"github.com/knarr-io/knarr/internal/scheduler"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

// maxFile bounds the file, in bytes.
const maxFile = 1 << 20

// Config is a configuration that was found to be right.
type Config struct {
	profiles []profile
	backoff  queue.Backoff
}

// Load reads a file. Errors name the file, and the field at fault.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the scheduler's configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the scheduler's configuration %s: %w", path, err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the scheduler's configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse reads the text of a configuration, YAML or JSON.
func Parse(text []byte) (*Config, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("it is over %d bytes", maxFile)
	}
	var in configv1.KubeSchedulerConfiguration
	if err := yaml.UnmarshalStrict(text, &in); err != nil {
		return nil, err
	}
	if in.APIVersion != configv1.SchemeGroupVersion.String() || in.Kind != "KubeSchedulerConfiguration" {
		return nil, fmt.Errorf("want apiVersion %s and kind KubeSchedulerConfiguration, got %q and %q", configv1.SchemeGroupVersion, in.APIVersion, in.Kind)
	}
	r := &reader{}
	out := r.whole(&in)
	if err := r.errs.ToAggregate(); err != nil {
		return nil, err
	}
	return out, nil
}

// Profiles are the scheduler's, whose plugins look things up in from.
func (c *Config) Profiles(from plugins.Sources) []scheduler.Profile {
	var out []scheduler.Profile
	for _, p := range c.profiles {
		out = append(out, scheduler.Profile{Name: p.name, Percent: p.percent, Plugins: p.assemble(from)})
	}
	return out
}

// Backoff is the pause of pods that no node took.
func (c *Config) Backoff() queue.Backoff { return c.backoff }

// profile is one that was read.
type profile struct {
	name    string
	percent int
	order   []enabled
	// settle puts the arguments into a plugin of the default profile.
	settle map[string]settler
}

// reader collects what is wrong.
type reader struct{ errs field.ErrorList }

func (r *reader) invalid(path *field.Path, value any, why string) {
	r.errs = append(r.errs, field.Invalid(path, value, why))
}

func (r *reader) whole(in *configv1.KubeSchedulerConfiguration) *Config {
	if in.Parallelism != nil && *in.Parallelism <= 0 {
		r.invalid(field.NewPath("parallelism"), *in.Parallelism, "should be an integer value greater than zero")
	}
	if len(in.Extenders) > 0 {
		r.errs = append(r.errs, field.Forbidden(field.NewPath("extenders"), "extenders are not supported"))
	}
	out := &Config{backoff: r.backoff(in)}
	percent := r.percent(field.NewPath("percentageOfNodesToScore"), in.PercentageOfNodesToScore)
	if len(in.Profiles) == 0 {
		in.Profiles = []configv1.KubeSchedulerProfile{{}}
	}
	if len(in.Profiles) == 1 && in.Profiles[0].SchedulerName == nil {
		in.Profiles[0].SchedulerName = new(corev1.DefaultSchedulerName)
	}
	names := map[string]bool{}
	for i := range in.Profiles {
		path := field.NewPath("profiles").Index(i)
		p := r.profile(path, &in.Profiles[i])
		if names[p.name] && p.name != "" {
			r.errs = append(r.errs, field.Duplicate(path.Child("schedulerName"), p.name))
		}
		names[p.name] = true
		if in.Profiles[i].PercentageOfNodesToScore == nil {
			p.percent = percent
		}
		out.profiles = append(out.profiles, p)
	}
	return out
}

func (r *reader) percent(path *field.Path, v *int32) int {
	if v == nil {
		return 0
	}
	if *v < 0 || *v > 100 {
		r.invalid(path, *v, "not in valid range [0-100]")
	}
	return int(*v)
}

func (r *reader) backoff(in *configv1.KubeSchedulerConfiguration) queue.Backoff {
	first, most := int64(1), int64(10)
	if in.PodInitialBackoffSeconds != nil {
		first = *in.PodInitialBackoffSeconds
	}
	if in.PodMaxBackoffSeconds != nil {
		most = *in.PodMaxBackoffSeconds
	}
	const longest = int64(24 * time.Hour / time.Second)
	if first <= 0 || first > longest {
		r.invalid(field.NewPath("podInitialBackoffSeconds"), first, "must be greater than 0, and no more than a day")
	}
	if most < first || most > longest {
		r.invalid(field.NewPath("podMaxBackoffSeconds"), most, "must be greater than or equal to PodInitialBackoffSeconds, and no more than a day")
	}
	return queue.Backoff{First: time.Duration(first) * time.Second, Most: time.Duration(most) * time.Second}
}

func (r *reader) profile(path *field.Path, in *configv1.KubeSchedulerProfile) profile {
	out := profile{percent: r.percent(path.Child("percentageOfNodesToScore"), in.PercentageOfNodesToScore), settle: map[string]settler{}}
	if in.SchedulerName != nil {
		out.name = *in.SchedulerName
	}
	if out.name == "" {
		r.errs = append(r.errs, field.Required(path.Child("schedulerName"), ""))
	}
	var wanted configv1.Plugins
	if in.Plugins != nil {
		wanted = *in.Plugins
	}
	out.order = r.plugins(path.Child("plugins"), &wanted)
	for i := range in.PluginConfig {
		c, at := &in.PluginConfig[i], path.Child("pluginConfig").Index(i)
		if out.settle[c.Name] != nil {
			r.errs = append(r.errs, field.Duplicate(at, c.Name))
			continue
		}
		settle, err := r.args(at.Child("args"), c.Name, c.Args.Raw)
		if err != nil {
			r.invalid(at.Child("args"), c.Name, err.Error())
		}
		out.settle[c.Name] = settle
	}
	return out
}

// errNoArgs: the plugin takes none, or is none.
var errNoArgs = errors.New("there is no plugin of this name that takes arguments")
