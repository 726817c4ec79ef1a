package core

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

const version = "v1"

// Kinds are the kinds of the group, in alphabetical order of their plurals.
func Kinds() []*api.Kind {
	return []*api.Kind{
		bindingKind(),
		componentStatusKind(),
		configMapKind(),
		endpointsKind(),
		eventKind(),
		limitRangeKind(),
		namespaceKind(),
		nodeKind(),
		persistentVolumeClaimKind(),
		persistentVolumeKind(),
		podKind(),
		podTemplateKind(),
		replicationControllerKind(),
		resourceQuotaKind(),
		secretKind(),
		serviceAccountKind(),
		serviceKind(),
	}
}

func gvk(kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: version, Kind: kind}
}

// connectVerbs are the verbs of the proxy subresources, streamVerbs those of
// exec, attach and port-forward.
func connectVerbs() []string { return []string{"create", "delete", "get", "patch", "update"} }

func streamVerbs() []string { return []string{"create", "get"} }

func readWriteVerbs() []string { return []string{"get", "patch", "update"} }
