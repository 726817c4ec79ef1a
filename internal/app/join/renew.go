package join

import (
	"fmt"
	"os"
	"time"

	"github.com/knarr-io/knarr/internal/base/pki"
)

// RenewAt is when the node's serving certificate in a PEM file, which was asked
// for at the same moment as its others, is to be renewed: at once where it does
// not speak of the node's address.
func (n Node) RenewAt(path string) (time.Time, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the node's certificate: %w", err)
	}
	due, err := pki.RenewAt(data, n.Address)
	if err != nil {
		return time.Time{}, fmt.Errorf("certificate %s: %w", path, err)
	}
	return due, nil
}
