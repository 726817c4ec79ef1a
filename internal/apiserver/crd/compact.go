package crd

import (
	"encoding/json"
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/knarr-io/knarr/internal/api"
)

// fieldSets are sets of owned fields, the fieldsV1 of managed fields, each
// once. A set is a tree of maps that takes more memory than the values which it
// names, and the objects of a definition have few different ones: those that a
// controller writes are alike. Safe for concurrent use.
type fieldSets struct {
	mu   sync.Mutex
	sets map[string]map[string]any // by their JSON; guarded by mu
}

// mostSets is how many are remembered.
const mostSets = 256

// compact lets an object share its field sets with those stored before. It
// replaces what holds them, and changes nothing that the object may have in
// common with another one.
func (s *fieldSets) compact(obj api.Object) {
	u := obj.(*unstructured.Unstructured)
	metadata, _ := u.Object["metadata"].(map[string]any)
	entries, _ := metadata["managedFields"].([]any)
	if len(entries) == 0 {
		return
	}
	out := make([]any, len(entries))
	for i, entry := range entries {
		out[i] = entry
		fields, isMap := entry.(map[string]any)
		if set, has := fields["fieldsV1"].(map[string]any); isMap && has {
			fields = maps.Clone(fields)
			fields["fieldsV1"] = s.shared(set)
			out[i] = fields
		}
	}
	metadata["managedFields"] = out
}

// shared is the remembered set that is equal to this one.
func (s *fieldSets) shared(set map[string]any) map[string]any {
	text, err := json.Marshal(set) // with its keys in order
	if err != nil {
		return set
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, known := s.sets[string(text)]; known {
		return have
	}
	if s.sets == nil || len(s.sets) >= mostSets {
		s.sets = map[string]map[string]any{}
	}
	s.sets[string(text)] = set
	return set
}
