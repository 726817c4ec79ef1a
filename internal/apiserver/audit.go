package apiserver

import (
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
)

// AuditEvent is one answered request, as the audit hook sees it. It holds no
// bodies, so that no secret is in it.
type AuditEvent struct {
	ID   string
	User user.Info // nil: not authenticated
	Verb string
	Path string

	Group, Version, Resource, Subresource string
	Namespace, Name                       string

	Code int
	At   time.Time
	Took time.Duration
}
