package builtin

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

func node(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi"),
	}}}
}

func TestPodsTakeTheTopologyOfTheirNode(t *testing.T) {
	chain, kinds := world(t, node("a", map[string]string{corev1.LabelTopologyZone: "z", corev1.LabelTopologyRegion: "r", "other": "x"}))
	p := pod()
	p.Spec.NodeName, p.Labels = "a", map[string]string{corev1.LabelTopologyRegion: "mine"}
	if err := admit(t, chain, kinds, admission.Create, "pods", p, nil, anyone); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{corev1.LabelTopologyZone: "z", corev1.LabelTopologyRegion: "r"}, p.Labels); diff != "" {
		t.Errorf("a pod: -want +got:\n%s", diff)
	}
	for target, want := range map[string]string{"Node": "z", "": ""} {
		b := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}, Target: corev1.ObjectReference{Kind: target, Name: "a"}}
		a := &admission.Attributes{Operation: admission.Create, Kind: kinds.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}),
			Subresource: "binding", Namespace: "n", Name: "p", Object: b, User: anyone, Warn: func(string) {}}
		if err := chain.Mutate(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		if b.Labels[corev1.LabelTopologyZone] != want {
			t.Errorf("a binding to %q: %v", target, b.Labels)
		}
	}
}

func TestPodsGrowAsFarAsTheirNode(t *testing.T) {
	chain, kinds := world(t, node("a", nil), node("w", map[string]string{corev1.LabelOSStable: "windows"}))
	for name, tt := range map[string]struct {
		node, cpu, memory string
		refusal           string
		cause             metav1.CauseType
	}{
		"fits":           {node: "a", cpu: "2", memory: "1Gi"},
		"no node yet":    {node: "", cpu: "9", memory: "9Gi"},
		"too much":       {node: "a", cpu: "3", memory: "2Gi", cause: "NodeCapacity", refusal: "node didn't have enough allocatable resources: cpu, requested: 3000, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824"},
		"another system": {node: "w", cpu: "1", memory: "1Mi", cause: "UnsupportedPlatform", refusal: `pod resize is only supported on linux nodes, node "w" is "windows"`},
		"no such node":   {node: "x", cpu: "1", memory: "1Mi", refusal: `node "x" not found`},
	} {
		p := pod()
		p.Spec.NodeName, p.Generation = tt.node, 2
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(tt.cpu), corev1.ResourceMemory: resource.MustParse(tt.memory)}
		old := p.DeepCopy()
		old.Generation = 1
		a := &admission.Attributes{Operation: admission.Update, Kind: kinds.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}),
			Subresource: "resize", Namespace: "n", Name: "p", Object: p, Old: old, User: anyone, Warn: func(string) {}}
		err := chain.Validate(context.Background(), a)
		switch {
		case tt.refusal == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.refusal != "" && (err == nil || !strings.Contains(err.Error(), tt.refusal)):
			t.Errorf("%s: got %v, want %s", name, err, tt.refusal)
		case tt.cause != "" && !apierrors.HasStatusCause(err, tt.cause):
			t.Errorf("%s: no cause %s in %v", name, tt.cause, err)
		}
	}
}

func TestPodsChangeAsTheirNodeCan(t *testing.T) {
	able := node("able", nil)
	able.Status.DeclaredFeatures = []string{"InPlacePodLevelResourcesVerticalScaling"}
	chain, kinds := world(t, able, node("plain", nil))
	const refused = `pod update requires features InPlacePodLevelResourcesVerticalScaling which are not available on node "plain"`
	for name, tt := range map[string]struct {
		node    string
		cpu     string // of the whole pod; it had one
		same    bool   // the generation
		refusal string
	}{
		"a node that can":      {node: "able", cpu: "2"},
		"one that cannot":      {node: "plain", cpu: "2", refusal: refused},
		"nothing changed":      {node: "plain", cpu: "1"},
		"not the spec":         {node: "plain", cpu: "2", same: true},
		"no node yet":          {cpu: "2"},
		"a node that is gone":  {node: "gone", cpu: "2", refusal: `node "gone" not found`},
		"gone, nothing needed": {node: "gone", cpu: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			old := pod()
			old.Spec.NodeName, old.Generation = tt.node, 1
			old.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}
			p := old.DeepCopy()
			p.Spec.Resources.Requests[corev1.ResourceCPU] = resource.MustParse(tt.cpu)
			if !tt.same {
				p.Generation = 2
			}
			err := admit(t, chain, kinds, admission.Update, "pods", p, old, anyone)
			if tt.refusal == "" && err != nil || tt.refusal != "" && (err == nil || !strings.Contains(err.Error(), tt.refusal)) {
				t.Errorf("got %v, want %q", err, tt.refusal)
			}
		})
	}
}
