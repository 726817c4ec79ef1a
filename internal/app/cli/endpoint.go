package cli

import (
	"fmt"
	"path/filepath"
	"strings"
)

// checkEndpoint makes a runtime's socket a path, which may be written as a URL.
func (c *clusterFlags) checkEndpoint() error {
	if c.RuntimeEndpoint == "" {
		return nil
	}
	path := strings.TrimPrefix(c.RuntimeEndpoint, "unix://")
	if !filepath.IsAbs(path) {
		return fmt.Errorf("--runtime-endpoint %q: want the path of a socket, or unix:// and the path", c.RuntimeEndpoint)
	}
	c.RuntimeEndpoint = path
	return nil
}
