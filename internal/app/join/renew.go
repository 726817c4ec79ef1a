package join

import (
	"fmt"
	"os"
	"time"

	"github.com/knarr-io/knarr/internal/base/pki"
)

// RenewAt is when the certificate in a PEM file, which was asked for at the
// same moment as the node's others, is to be renewed.
func RenewAt(path string) (time.Time, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the node's certificate: %w", err)
	}
	due, err := pki.RenewAt(data)
	if err != nil {
		return time.Time{}, fmt.Errorf("certificate %s: %w", path, err)
	}
	return due, nil
}
