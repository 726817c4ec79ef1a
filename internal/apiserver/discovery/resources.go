package discovery

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

// Resources lists what a kind serves: itself and its subresources.
func Resources(k *api.Kind) []metav1.APIResource {
	verbs := k.Verbs
	if verbs == nil {
		verbs = api.AllVerbs()
	}
	out := []metav1.APIResource{{
		Name: k.Resource, SingularName: k.Singular, Namespaced: k.Namespaced, Kind: k.GVK.Kind,
		Verbs: verbs, ShortNames: k.ShortNames, Categories: k.Categories, StorageVersionHash: storageHash(k),
	}}
	if k.Status != nil {
		out = append(out, subresource(k, "status", k.GVK, []string{"get", "patch", "update"}))
	}
	for _, s := range k.Subresources {
		out = append(out, subresource(k, s.Name, s.GVK, s.Verbs))
	}
	return out
}

// subresource names group and version only where they are not the parent's.
func subresource(k *api.Kind, name string, gvk schema.GroupVersionKind, verbs []string) metav1.APIResource {
	r := metav1.APIResource{Name: k.Resource + "/" + name, Namespaced: k.Namespaced, Kind: gvk.Kind, Verbs: verbs}
	if gvk.GroupVersion() != k.GVK.GroupVersion() {
		r.Group, r.Version = gvk.Group, gvk.Version
	}
	return r
}

// storageHash tells clients when the stored version of a resource changes:
// the start of a digest over group, version and kind of what is stored.
func storageHash(k *api.Kind) string {
	if k.Virtual || !k.HasVerb("watch") {
		return ""
	}
	return StorageHash(k.Stored().GVK)
}

// StorageHash is the storageVersionHash of a stored version.
func StorageHash(stored schema.GroupVersionKind) string {
	const length = 8
	sum := sha256.Sum256([]byte(stored.Group + "/" + stored.Version + "/" + stored.Kind))
	return base64.StdEncoding.EncodeToString(sum[:length])
}

func sortResources(list []metav1.APIResource) {
	slices.SortFunc(list, func(a, b metav1.APIResource) int { return strings.Compare(a.Name, b.Name) })
}
