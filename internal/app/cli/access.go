package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/knarr-io/knarr/internal/app/local"
)

// registerAccess adds the flags of files that say who may do what.
func registerAccess(flags *pflag.FlagSet, a *local.Access) {
	flags.StringVar(&a.EncryptionConfig, "encryption-config", "", "EncryptionConfiguration file (default: Secrets are encrypted with a key of their own in the data directory)")
}

// completeAccess makes paths absolute, since the server runs elsewhere, and
// refuses files that cannot be read.
func completeAccess(a *local.Access) error {
	for _, f := range []struct {
		flag string
		path *string
	}{
		{"encryption-config", &a.EncryptionConfig},
	} {
		if *f.path == "" {
			continue
		}
		path, err := filepath.Abs(*f.path)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return fmt.Errorf("--%s: %w", f.flag, err)
		}
		*f.path = path
	}
	return nil
}
