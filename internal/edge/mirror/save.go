package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/knarr-io/knarr/internal/api"
)

// copyVersion is raised when an older process could not read the copy.
const copyVersion = 1

// saved is the file's content.
type saved struct {
	Version   int
	Services  []*corev1.Service
	Slices    []*discoveryv1.EndpointSlice
	Ingresses []*networkingv1.Ingress
	Classes   []*networkingv1.IngressClass
	Settings  []*corev1.ConfigMap `json:",omitempty"`
}

// settleTime gathers changes into one write of the copy.
const settleTime = 2 * time.Second

// Load reads the copy of an earlier process. A copy that is missing, damaged
// or of another version is no error: the mirror starts empty and says so.
func (m *Mirror) Load() {
	data, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var s saved
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil || s.Version != copyVersion {
		m.logger.Warn("the saved copy of the cluster's names cannot be used; starting without it", "path", m.path, "error", err)
		return
	}
	putAll(m, s.Services)
	putAll(m, s.Slices)
	putAll(m, s.Classes)
	putAll(m, s.Ingresses)
	putAll(m, s.Settings)
}

func putAll[T api.Object](m *Mirror, objects []T) {
	for _, obj := range objects {
		m.Put(obj)
	}
}

// Keep saves the copy a moment after changes, until ctx ends.
func (m *Mirror) Keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.changed:
		}
		select {
		case <-ctx.Done():
		case <-time.After(settleTime):
		}
		if err := m.save(); err != nil {
			m.logger.Warn("the copy of the cluster's names could not be saved", "path", m.path, "error", err)
		}
	}
}

func (m *Mirror) save() error {
	m.mu.RLock()
	s := saved{Version: copyVersion, Services: values(m.services), Ingresses: values(m.ingresses), Classes: values(m.classes), Settings: values(m.settings)}
	for _, slices := range m.slices {
		for _, slice := range slices {
			s.Slices = append(s.Slices, slice)
		}
	}
	m.mu.RUnlock()
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tmp := m.path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	return os.Rename(tmp, m.path)
}
