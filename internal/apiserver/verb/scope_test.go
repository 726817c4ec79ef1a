package verb

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/listing"
	"github.com/knarr-io/knarr/internal/store/cache"
)

func TestScopeOf(t *testing.T) {
	pods := api.Spec[*corev1.Pod]{
		Version: "v1", Name: "Pod", Resource: "pods", Namespaced: true, New: func() *corev1.Pod { return &corev1.Pod{} },
		Fields: func(p *corev1.Pod) fields.Set {
			return fields.Set{"spec.nodeName": p.Spec.NodeName, "status.phase": string(p.Status.Phase)}
		},
		FieldNames: []string{"spec.nodeName", "status.phase"}, IndexedFields: []string{"spec.nodeName"},
	}.Kind()
	nodes := api.Spec[*corev1.Node]{Version: "v1", Name: "Node", Resource: "nodes", New: func() *corev1.Node { return &corev1.Node{} }}.Kind()
	view := *pods
	view.View = &api.View{Of: pods}
	name := func(namespace string) *cache.Scope { return &cache.Scope{Namespace: namespace, Name: "a"} }
	node := func(n string) *cache.Scope { return &cache.Scope{Field: "spec.nodeName", Value: n} }
	tests := []struct {
		what             string
		kind             *api.Kind
		namespace, field string
		want             *cache.Scope // nil: everything
	}{
		{"no selector", pods, "x", "", nil},
		{"a name in a namespace", pods, "x", "metadata.name=a", name("x")},
		{"a name in any namespace", pods, "", "metadata.name=a", nil},
		{"any name but one", pods, "x", "metadata.name!=a", nil},
		{"a name of a kind without namespaces", nodes, "", "metadata.name=a", name("")},
		{"a name of a view", &view, "x", "metadata.name=a", name("x")},
		{"a name and a node", pods, "x", "metadata.name=a,spec.nodeName=n", name("x")},
		{"a name in any namespace, and a node", pods, "", "metadata.name=a,spec.nodeName=n", node("n")},
		{"a node", pods, "", "spec.nodeName=n", node("n")},
		{"a node in a namespace", pods, "x", "spec.nodeName=n,status.phase=Running", node("n")},
		{"no node", pods, "", "spec.nodeName=", node("")},
		{"any node but one", pods, "", "spec.nodeName!=n", nil},
		{"a field without an index", pods, "", "status.phase=Running", nil},
		{"a value that no index holds", pods, "", "spec.nodeName=n\x00", nil},
		{"a field of a view", &view, "", "spec.nodeName=n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			s, err := listing.ParseSelector(tt.kind, "", tt.field)
			if err != nil {
				t.Fatal(err)
			}
			s.Namespace = tt.namespace
			got, ok := scopeOf(tt.kind, &s)
			if ok != (tt.want != nil) || ok && got != *tt.want {
				t.Errorf("got %+v, %t, want %+v", got, ok, tt.want)
			}
		})
	}
}
