package operation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/common"
)

func TestArticle(t *testing.T) {
	for noun, want := range map[string]string{"Widget": " a ", "Ingress": " an ", "oar": " an ", "Endpoints": " ", "IngressClass": " an ", "": " a "} {
		if got := Article(noun); got != want {
			t.Errorf("%s: %q, want %q", noun, got, want)
		}
	}
}

func shown(params []common.Parameter) map[string]string {
	out := map[string]string{}
	for _, p := range params {
		out[p.Name()] = p.DataType()
	}
	return out
}

func TestOptionsAreSimpleFields(t *testing.T) {
	want := map[string]string{"dryRun": "string", "gracePeriodSeconds": "integer", "ignoreStoreReadErrorWithClusterBreakingPotential": "boolean",
		"orphanDependents": "boolean"}
	if diff := cmp.Diff(want, shown(Options(metav1.DeleteOptions{}, "propagationPolicy"))); diff != "" {
		t.Error(diff)
	}
	if got := shown(Options(corev1.PodLogOptions{}))["sinceTime"]; got != "string" {
		t.Errorf("a time is shown as %q", got)
	}
}

func TestBodiesAreParameters(t *testing.T) {
	o := &Operation{Body: metav1.Patch{}, Params: []common.Parameter{Namespace(), Name("Oar")}}
	var got []string
	for _, p := range o.Route().Parameters() {
		if p.Required() {
			got = append(got, p.Name())
		}
	}
	if diff := cmp.Diff([]string{"body", "namespace", "name"}, got); diff != "" {
		t.Error(diff)
	}
	if o.Route().Metadata() != nil {
		t.Error("an operation without an action tells of one")
	}
}
