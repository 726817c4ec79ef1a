// Package batch declares the kinds of the API group batch: work that ends, and
// work that is done again and again. It holds no state.
package batch

import "github.com/knarr-io/knarr/internal/api"

const (
	group   = "batch"
	version = "v1"
)

// Kinds are the kinds of batch/v1.
func Kinds() []*api.Kind { return []*api.Kind{CronJob(), Job()} }
