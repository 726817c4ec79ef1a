// Package endpoint is where the API server's generic code meets the parts
// that answer in their own way: reviews and other kinds that are never
// stored, actions such as binding and eviction, and connections such as log
// and exec.
//
// A Registry is filled by the caller of apiserver.New before it is handed
// over and only read afterwards. Authentication, authorization and admission
// have happened when a handler is called.
package endpoint

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
)

// Action is one request to an Act. Request.Object holds the decoded body with
// its defaults set; the Act owns it.
type Action struct {
	Request *request.Request
	User    user.Info
}

// DryRun tells whether nothing may be changed.
func (a Action) DryRun() bool { return len(a.Request.CreateOptions.DryRun) > 0 }

// Act answers a create of a virtual kind, or a write to an action
// subresource. Its errors are API status errors; anything else becomes an
// internal error.
type Act func(ctx context.Context, a Action) (runtime.Object, error)

// Connection is one request to a Connect.
type Connection struct {
	Request *request.Request
	User    user.Info
	// Object is the parent as the cache holds it: shared and immutable.
	Object api.Object
	// Path is what follows the subresource in the URL, with its leading
	// slash (proxy); empty where nothing follows.
	Path string
}

// Connect answers with a stream of its own. An error that it returns before
// it wrote anything is answered as a Status; later ones are only logged.
type Connect func(w http.ResponseWriter, r *http.Request, c Connection) error

type key struct {
	resource    schema.GroupResource
	subresource string
}

// Registry maps resources and subresources to their handlers.
type Registry struct {
	acts     map[key]Act
	connects map[key]Connect
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	return &Registry{acts: map[key]Act{}, connects: map[key]Connect{}}
}

// Act registers the handler of a virtual kind (subresource empty) or of an
// action subresource. Registering twice is a programming error and panics.
func (r *Registry) Act(resource schema.GroupResource, subresource string, act Act) {
	k := key{resource, subresource}
	if r.acts[k] != nil {
		panic(fmt.Sprintf("endpoint %s/%s is registered twice", resource, subresource))
	}
	r.acts[k] = act
}

// Connect registers the handler of a connecting subresource. Registering
// twice is a programming error and panics.
func (r *Registry) Connect(resource schema.GroupResource, subresource string, connect Connect) {
	k := key{resource, subresource}
	if r.connects[k] != nil {
		panic(fmt.Sprintf("endpoint %s/%s is registered twice", resource, subresource))
	}
	r.connects[k] = connect
}

// ActOf is the handler of a resource and subresource; nil where none is.
func (r *Registry) ActOf(resource schema.GroupResource, subresource string) Act {
	return r.acts[key{resource, subresource}]
}

// ConnectOf is the handler of a subresource; nil where none is.
func (r *Registry) ConnectOf(resource schema.GroupResource, subresource string) Connect {
	return r.connects[key{resource, subresource}]
}
