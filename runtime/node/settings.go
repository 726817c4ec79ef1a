package node

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/knarr-io/knarr/runtime/image/registry"
	"github.com/knarr-io/knarr/runtime/oci"
	"github.com/knarr-io/knarr/runtime/spec"
)

// maxSettings bounds the configuration file, in bytes.
const maxSettings = 1 << 20

// settings are what the configuration file says.
type settings struct {
	// Registries says how to reach registries.
	Registries registry.Config `json:"registries"`
	// Handlers are programs for RuntimeClasses, by the handler's name.
	Handlers map[string]oci.Config `json:"handlers,omitempty"`
	// Pinned are names of images that garbage collection leaves alone; one that
	// ends with * stands for all that begin so.
	Pinned []string `json:"pinned,omitempty"`
	// Rlimits are limits of containers' processes, by names such as nofile.
	Rlimits map[string]spec.Rlimit `json:"rlimits,omitempty"`
}

// loadSettings reads a JSON file, strictly. An empty path gives empty settings.
func loadSettings(path string) (settings, error) {
	var s settings
	if path == "" {
		return s, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	dec := json.NewDecoder(io.LimitReader(f, maxSettings))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return settings{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}
