package core

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/randfill"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func kind(t testing.TB, name string) *api.Kind {
	t.Helper()
	for _, k := range Kinds() {
		if k.GVK.Kind == name {
			return k
		}
	}
	t.Fatalf("no kind %s", name)
	return nil
}

// TestDeclarations holds what generic code relies on.
func TestDeclarations(t *testing.T) {
	now := time.Now()
	for _, k := range Kinds() {
		t.Run(k.GVK.Kind, func(t *testing.T) {
			obj := k.New()
			if k.Row != nil {
				if k.Main.Default != nil {
					k.Main.Default(obj)
				}
				if got := len(k.Row(obj, now)); got != len(k.Columns) {
					t.Errorf("%d cells for %d columns", got, len(k.Columns))
				}
			}
			for _, c := range k.Columns {
				if c.Description == "" {
					t.Errorf("column %s has no description", c.Name)
				}
			}
			if k.Fields == nil {
				return
			}
			set := k.Fields(obj)
			for _, name := range k.FieldNames {
				if _, ok := set[name]; !ok {
					t.Errorf("selectable field %s is not filled", name)
				}
			}
			if len(set) != len(k.FieldNames) {
				t.Errorf("%d fields filled, %d declared", len(set), len(k.FieldNames))
			}
		})
	}
}

// TestDefaultIsIdempotent fills every field at random and defaults twice.
func TestDefaultIsIdempotent(t *testing.T) {
	for _, k := range Kinds() {
		if k.Main.Default == nil {
			continue
		}
		t.Run(k.GVK.Kind, func(t *testing.T) {
			for seed := range int64(20) {
				once := k.New()
				filler(seed).Fill(once)
				k.Main.Default(once)
				twice := once.DeepCopyObject().(api.Object)
				k.Main.Default(twice)
				if !apiequality.Semantic.DeepEqual(once, twice) {
					t.Fatalf("seed %d: %s", seed, cmp.Diff(once, twice))
				}
			}
		})
	}
}

// TestRandomObjects runs all rules over objects with random contents: none of
// them may panic, whatever is set.
func TestRandomObjects(t *testing.T) {
	for _, k := range Kinds() {
		t.Run(k.GVK.Kind, func(t *testing.T) {
			for seed := range int64(20) {
				obj, old := k.New(), k.New()
				filler(seed).Fill(obj)
				filler(seed + 1000).Fill(old)
				play(k, obj, old)
			}
		})
	}
}

func filler(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0.4).NumElements(0, 2).MaxDepth(12).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewMilliQuantity(c.Int63n(1e6)-5000, resource.DecimalSI)
		},
	)
}

// play runs every rule of a kind as a create and an update would.
func play(k *api.Kind, obj, old api.Object) {
	endpoints := []*api.Rules{&k.Main, k.Status}
	for _, s := range k.Subresources {
		endpoints = append(endpoints, s.Rules)
	}
	for _, r := range endpoints {
		if r == nil {
			continue
		}
		is, was := obj.DeepCopyObject().(api.Object), old.DeepCopyObject().(api.Object)
		if r.Default != nil {
			r.Default(is)
			r.Default(was)
		}
		if r.PrepareUpdate != nil {
			r.PrepareUpdate(is, was)
		}
		validate.Update(r, is, was)
		if r.Generation != nil {
			r.Generation(is, was)
		}
		if r.Warn != nil {
			r.Warn(is, was)
		}
	}
	if k.Main.Default != nil {
		k.Main.Default(obj)
	}
	if k.Main.PrepareCreate != nil {
		k.Main.PrepareCreate(obj)
	}
	validate.Create(k, obj)
	if k.Main.Warn != nil {
		k.Main.Warn(obj, nil)
	}
}

// FuzzObject decodes what a stranger could send and runs all rules on it.
func FuzzObject(f *testing.F) {
	f.Add("Pod", []byte(`{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","image":"i","env":[{"name":"A","valueFrom":{}}]}]}}`))
	f.Add("Service", []byte(`{"metadata":{"name":"s"},"spec":{"ports":[{"port":80}],"clusterIPs":[""]}}`))
	f.Add("PersistentVolume", []byte(`{"spec":{"capacity":{"storage":"1e9999"},"nodeAffinity":{}}}`))
	f.Add("LimitRange", []byte(`{"spec":{"limits":[{"type":"Container","min":{"cpu":"0"},"max":{"cpu":"1"},"maxLimitRequestRatio":{"cpu":"2"}}]}}`))
	kinds := map[string]*api.Kind{}
	for _, k := range Kinds() {
		kinds[k.GVK.Kind] = k
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		k := kinds[name]
		if k == nil {
			return
		}
		obj, old := k.New(), k.New()
		if json.Unmarshal(body, obj) != nil {
			return
		}
		play(k, obj, old)
	})
}

func TestGracefulPod(t *testing.T) {
	own, asked, negative := int64(30), int64(5), int64(-3)
	tests := []struct {
		name  string
		pod   corev1.Pod
		asked *int64
		want  int64
	}{
		{"the pod's own", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: &own}}, nil, 30},
		{"what was asked for", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: &own}}, &asked, 5},
		{"negative is one", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: &negative}}, nil, 1},
		{"no node", corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &own}}, &asked, 0},
		{"succeeded", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: &own},
			Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := gracefulPod(&tt.pod, tt.asked).Seconds; got != tt.want {
				t.Errorf("%d seconds, want %d", got, tt.want)
			}
		})
	}
}

func TestPullPolicy(t *testing.T) {
	tests := map[string]corev1.PullPolicy{
		"nginx": corev1.PullAlways, "nginx:latest": corev1.PullAlways, "nginx:1.27": corev1.PullIfNotPresent,
		"registry:5000/a/b": corev1.PullAlways, "registry:5000/a/b:v1": corev1.PullIfNotPresent,
		"a@sha256:0123456789012345678901234567890123456789012345678901234567890123": corev1.PullIfNotPresent,
		"UPPER": corev1.PullIfNotPresent, "": corev1.PullIfNotPresent,
	}
	for image, want := range tests {
		if got := pullPolicyOf(image); got != want {
			t.Errorf("%q: %s, want %s", image, got, want)
		}
	}
}
