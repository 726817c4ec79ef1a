// Package server is the process that `knarr server` runs: store, object cache,
// API, controllers and scheduler, and of this machine's own node the Service
// rules and the agent.
//
// Run lists the parts and what each needs; package lifecycle starts every part
// the moment that is there, and stops them in the opposite order. Parts meet
// in the values of one struct (process), each of which is written by the part
// that owns it before it says that it is ready, and only read by those that
// need it.
package server

import (
	"log/slog"

	"github.com/knarr-io/knarr/internal/app/local"
)

// Options say what the process is to be.
type Options struct {
	local.Settings
	// APIOnly leaves controllers, scheduler and node out: the API alone.
	APIOnly bool
	// Memory keeps the objects in memory instead of on disk.
	Memory bool
	// Flags are the settings by name, as /flagz shows them; no secrets.
	Flags  map[string]string
	Logger *slog.Logger
}
