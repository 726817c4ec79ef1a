package encryption

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/value"
)

// slot is one resource's sealer: it asks the cipher of the hour.
type slot struct {
	resource schema.GroupResource
	file     string
	cipher   atomic.Pointer[value.Transformer] // nil: values are stored as they are
}

// Seal implements cache.Sealer.
func (s *slot) Seal(key string, plain []byte) ([]byte, error) {
	t := s.cipher.Load()
	if t == nil {
		return plain, nil
	}
	// Ciphers are bounded by themselves: those with a key at hand are pure
	// computation, and a key service has the time-out of its configuration.
	return (*t).TransformToStorage(context.Background(), plain, value.DefaultContext(key))
}

// Open implements cache.Sealer.
func (s *slot) Open(key string, stored []byte) ([]byte, bool, error) {
	t := s.cipher.Load()
	if t == nil {
		if bytes.HasPrefix(stored, sealed) {
			return nil, false, errNoKey(stored, s.file)
		}
		return stored, false, nil
	}
	plain, stale, err := (*t).TransformFromStorage(context.Background(), stored, value.DefaultContext(key))
	if err != nil {
		return nil, false, fmt.Errorf("%w (%w)", errNoKey(stored, s.file), err)
	}
	return plain, stale, nil
}
