package eviction

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Signal names what is measured.
type Signal string

// The signals.
const (
	MemoryAvailable   Signal = "memory.available"
	NodeFsAvailable   Signal = "nodefs.available"
	NodeFsInodesFree  Signal = "nodefs.inodesFree"
	ImageFsAvailable  Signal = "imagefs.available"
	ImageFsInodesFree Signal = "imagefs.inodesFree"
	PIDAvailable      Signal = "pid.available"
)

// Signals are all signals, in the order in which shortages are met: what fails
// soonest first.
func Signals() []Signal {
	return []Signal{MemoryAvailable, NodeFsAvailable, ImageFsAvailable, NodeFsInodesFree, ImageFsInodesFree, PIDAvailable}
}

// Condition is the node condition that a shortage of the signal sets.
func (s Signal) Condition() corev1.NodeConditionType {
	switch s {
	case MemoryAvailable:
		return corev1.NodeMemoryPressure
	case PIDAvailable:
		return corev1.NodePIDPressure
	}
	return corev1.NodeDiskPressure
}

// Resource is what messages call that which is short.
func (s Signal) Resource() corev1.ResourceName {
	switch s {
	case MemoryAvailable:
		return corev1.ResourceMemory
	case PIDAvailable:
		return "pids"
	case NodeFsInodesFree, ImageFsInodesFree:
		return "inodes"
	}
	return corev1.ResourceEphemeralStorage
}

// Value is an amount, or a share of the capacity; with both, the lesser.
type Value struct {
	Quantity int64
	Share    float64 // 0.1 is ten per cent
}

// Of is the amount at a capacity.
func (v Value) Of(capacity int64) int64 {
	share := int64(v.Share * float64(capacity))
	if v.Quantity > 0 && v.Share > 0 {
		return min(v.Quantity, share)
	}
	return max(v.Quantity, share)
}

func (v Value) zero() bool { return v.Quantity <= 0 && v.Share <= 0 }

// Threshold is how little of a signal is too little.
type Threshold struct {
	Signal Signal
	Value  Value
	// Grace is how long a soft threshold has to be met; zero makes it hard.
	Grace time.Duration
	// Reclaim is how much more than Value has to be there again.
	Reclaim Value
}

// Soft tells a threshold that lets pods end by themselves.
func (t Threshold) Soft() bool { return t.Grace > 0 }

// Config is when and how pods are evicted.
type Config struct {
	Thresholds []Threshold
	// Transition is how long a condition stays after its cause.
	Transition time.Duration
	// MaxPodGrace bounds the grace of pods evicted by soft thresholds.
	MaxPodGrace time.Duration
}

// Default is the configuration of a node that none was given. Upstream's
// thresholds of disks are shares alone; of a large disk a tenth is plenty, so
// that here enough free bytes are enough.
func Default() Config {
	return Config{Transition: 5 * time.Minute, Thresholds: []Threshold{
		{Signal: MemoryAvailable, Value: Value{Quantity: 100 << 20}},
		{Signal: NodeFsAvailable, Value: Value{Share: 0.10, Quantity: 1 << 30}},
		{Signal: ImageFsAvailable, Value: Value{Share: 0.15, Quantity: 1 << 30}},
		{Signal: NodeFsInodesFree, Value: Value{Share: 0.05, Quantity: 200_000}},
		{Signal: ImageFsInodesFree, Value: Value{Share: 0.05, Quantity: 200_000}},
		{Signal: PIDAvailable, Value: Value{Share: 0.05}},
	}}
}

// Hard is how much of a capacity the hard threshold of a signal keeps.
func (c Config) Hard(s Signal, capacity int64) int64 {
	for _, t := range c.Thresholds {
		if t.Signal == s && !t.Soft() {
			return t.Value.Of(capacity)
		}
	}
	return 0
}

// Texts are thresholds as a configuration file has them, by signal.
type Texts struct {
	Hard, Soft, SoftGrace, Reclaim map[string]string
	// Merge keeps the default of hard thresholds that Hard does not name.
	Merge bool
}

// Texts writes the thresholds as a file has them.
func (c Config) Texts() Texts {
	t := Texts{Hard: map[string]string{}, Soft: map[string]string{}, SoftGrace: map[string]string{}, Reclaim: map[string]string{}}
	for _, th := range c.Thresholds {
		name := string(th.Signal)
		if th.Soft() {
			t.Soft[name], t.SoftGrace[name] = th.Value.text(th.Signal), th.Grace.String()
		} else {
			t.Hard[name] = th.Value.text(th.Signal)
		}
		if !th.Reclaim.zero() {
			t.Reclaim[name] = th.Reclaim.text(th.Signal)
		}
	}
	return t
}

func (v Value) text(s Signal) string {
	if v.Share > 0 {
		return strconv.FormatFloat(100*v.Share, 'f', -1, 64) + "%"
	}
	return amount(s, v.Quantity)
}

// Parse reads thresholds. Where no hard one is named, the defaults are taken.
func Parse(t Texts) ([]Threshold, error) {
	hard, err := values("evictionHard", t.Hard)
	if err != nil {
		return nil, err
	}
	soft, err := values("evictionSoft", t.Soft)
	if err != nil {
		return nil, err
	}
	reclaim, err := values("evictionMinimumReclaim", t.Reclaim)
	if err != nil {
		return nil, err
	}
	grace, err := graces(t)
	if err != nil {
		return nil, err
	}
	for _, d := range Default().Thresholds {
		if _, named := hard[d.Signal]; !named && (t.Merge || len(t.Hard) == 0) {
			hard[d.Signal] = d.Value
		}
	}
	var out []Threshold
	for _, s := range Signals() {
		if v := hard[s]; !v.zero() {
			out = append(out, Threshold{Signal: s, Value: v, Reclaim: reclaim[s]})
		}
		if v := soft[s]; !v.zero() {
			out = append(out, Threshold{Signal: s, Value: v, Grace: grace[s], Reclaim: reclaim[s]})
		}
	}
	return out, nil
}

func values(field string, texts map[string]string) (map[Signal]Value, error) {
	out := map[Signal]Value{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if !slices.Contains(Signals(), Signal(name)) {
			return nil, fmt.Errorf("%s[%s]: there is no such signal; the signals are %v", field, name, Signals())
		}
		v, err := value(texts[name])
		if err != nil {
			return nil, fmt.Errorf("%s[%s]: %w", field, name, err)
		}
		out[Signal(name)] = v
	}
	return out, nil
}

// value reads a quantity or a percentage. Zero and a hundred per cent stand
// for no threshold.
func value(text string) (Value, error) {
	if number, isShare := strings.CutSuffix(text, "%"); isShare {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || math.IsNaN(percent) || percent < 0 || percent > 100 {
			return Value{}, fmt.Errorf("%q: want a percentage from 0%% to 100%%", text)
		}
		if percent == 100 {
			return Value{}, nil
		}
		return Value{Share: percent / 100}, nil
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Sign() < 0 {
		return Value{}, fmt.Errorf("%q: want a quantity that is not negative, or a percentage", text)
	}
	return Value{Quantity: q.Value()}, nil
}

// graces reads the grace periods, of which every soft threshold needs one.
func graces(t Texts) (map[Signal]time.Duration, error) {
	out := map[Signal]time.Duration{}
	for _, name := range slices.Sorted(maps.Keys(t.SoftGrace)) {
		d, err := time.ParseDuration(t.SoftGrace[name])
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("evictionSoftGracePeriod[%s]: %q: want a duration above zero, such as 1m30s", name, t.SoftGrace[name])
		}
		out[Signal(name)] = d
	}
	for _, name := range slices.Sorted(maps.Keys(t.Soft)) {
		if out[Signal(name)] == 0 {
			return nil, fmt.Errorf("evictionSoftGracePeriod[%s]: the soft threshold of that signal needs a grace period", name)
		}
	}
	return out, nil
}
