//go:build upstream

// What go.mod requires, for `go mod tidy`.
package kwok

import (
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
