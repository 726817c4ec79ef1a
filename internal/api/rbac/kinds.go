// Package rbac declares the kinds of rbac.authorization.k8s.io: who may do
// what. That nobody grants more than they have is the API server's check. It
// holds no state.
package rbac

import (
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/knarr-io/knarr/internal/api"
)

const (
	group   = "rbac.authorization.k8s.io"
	version = "v1"
)

// Kinds are the kinds of rbac.authorization.k8s.io/v1.
func Kinds() []*api.Kind {
	return []*api.Kind{ClusterRoleBinding(), ClusterRole(), RoleBinding(), Role()}
}

// nameRule lets names hold colons and upper case, as the bootstrap roles do.
func nameRule(name string, prefix bool) []string {
	return path.ValidatePathSegmentName(name, prefix)
}
