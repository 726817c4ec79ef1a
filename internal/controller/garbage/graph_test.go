package garbage

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// TestANewInformerTellsOfLostOwners: when the definition of a custom resource
// changes, a new informer tells of its objects as of new ones. One that has no
// owners any more blocks none.
func TestANewInformerTellsOfLostOwners(t *testing.T) {
	kinds := catalog.New()
	r := &Controller{client: client.New(nil, kinds), graph: newGraph(), informers: map[*api.Kind]*client.Informer[api.Object]{}}
	r.loop = reconcile.New("test", r.reconcile, reconcile.Options{})
	kind, blocks := kinds.TypeOf(&corev1.ConfigMap{}), true
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "d", UID: "d", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: "o", UID: "o", BlockOwnerDeletion: &blocks},
	}}}
	free := owned.DeepCopy()
	free.OwnerReferences = nil
	r.changed(kind, nil, owned)
	if len(r.graph.dependentsOf(types.UID("o"))) != 1 {
		t.Fatal("the dependent is not known")
	}
	r.changed(kind, nil, free)
	if left := r.graph.dependentsOf(types.UID("o")); len(left) != 0 {
		t.Errorf("%d dependents hold the owner for ever", len(left))
	}
}
