package cri

import (
	"testing"

	"github.com/knarr-io/knarr/runtime/image"
)

func TestPinned(t *testing.T) {
	s := &Service{Pinned: []string{"docker.io/library/base:1", "registry.example.com/infra/*"}}
	for name, want := range map[string]bool{
		"docker.io/library/base:1": true, "docker.io/library/base:2": false,
		"registry.example.com/infra/dns:3": true, "registry.example.com/infrared:3": false,
	} {
		if got := s.toImage(&image.Image{Tags: []string{name}}).GetPinned(); got != want {
			t.Errorf("%s: pinned %v", name, got)
		}
	}
	if s.toImage(&image.Image{}).GetPinned() {
		t.Error("an image without a name is pinned")
	}
}
