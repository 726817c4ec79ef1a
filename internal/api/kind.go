package api

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Kind is what generic code knows of a kind. It is made by Spec.Kind and
// immutable. Its functions take an Object of the kind's Go type.
type Kind struct {
	GVK schema.GroupVersionKind
	// Resource is the plural of URLs; Singular the word kubectl accepts.
	Resource, Singular string
	ShortNames         []string
	Categories         []string
	Namespaced         bool

	// Verbs that discovery shows and the server answers, in upstream's order
	// (alphabetical); nil means AllVerbs.
	Verbs []string

	New     func() Object
	NewList func() runtime.Object

	Main Rules
	// Status is set where the kind has a status subresource.
	Status *Rules
	// Subresources other than status, in alphabetical order.
	Subresources []Subresource

	Columns []Column
	// Row fills a line of a table: one cell per column.
	Row func(obj Object, now time.Time) []any

	// Fields are the selectable fields beyond metadata.name and (where
	// namespaced) metadata.namespace; FieldNames names them.
	Fields     func(obj Object) fields.Set
	FieldNames []string
	// IndexedFields are those of FieldNames by which the cache keeps an index.
	IndexedFields []string

	// View is set where the kind shows objects stored under another one.
	View *View

	// TTL is how long an object lives after it was last written; nil: forever.
	TTL func(obj Object) time.Duration

	// UnconditionalUpdate lets an update without resourceVersion through;
	// CreateOnUpdate lets PUT create; both as upstream's strategies do.
	UnconditionalUpdate bool
	CreateOnUpdate      bool

	// OrphanByDefault makes a deletion without propagation policy orphan its
	// dependents (upstream: ReplicationController only; else background).
	OrphanByDefault bool
	// Graceful is set for kinds whose deletion waits for someone (pods).
	Graceful func(obj Object, asked *int64) GracefulDelete

	// BeginDelete changes an object whose deletion begins, before it is marked:
	// it may add finalizers. Objects of such a kind never go at once.
	BeginDelete func(obj Object, now time.Time)
	// Custom is set for the kinds that CustomResourceDefinitions make, whose
	// objects are unstructured.
	Custom *Custom
	// Virtual kinds are answered by a function and never stored (reviews).
	Virtual bool

	// Deprecated is the warning that every request to a deprecated kind gets,
	// whatever its verb and outcome; empty: none.
	Deprecated string
}

// GVR is the kind's group, version and plural.
func (k *Kind) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.GVK.Group, Version: k.GVK.Version, Resource: k.Resource}
}

// GroupResource is the name that RBAC and error messages use.
func (k *Kind) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: k.GVK.Group, Resource: k.Resource}
}

// Stored is the kind under which the objects lie in the store: the kind
// itself, or the one that it is a view of.
func (k *Kind) Stored() *Kind {
	if k.View != nil {
		return k.View.Of
	}
	return k
}

// IsView tells whether the objects are stored under another kind.
func (k *Kind) IsView() bool { return k.View != nil && k.View.Of != k }

// ListKind is the kind of a list of objects.
func (k *Kind) ListKind() schema.GroupVersionKind {
	if k.Custom != nil {
		return k.GVK.GroupVersion().WithKind(k.Custom.ListKind)
	}
	return k.GVK.GroupVersion().WithKind(k.GVK.Kind + "List")
}

// RulesOf are the rules of the kind's own endpoint (subresource empty) or of
// one below it; those of an endpoint that writes nothing are empty.
func (k *Kind) RulesOf(subresource string) *Rules {
	switch {
	case subresource == "":
		return &k.Main
	case subresource == "status" && k.Status != nil:
		return k.Status
	}
	for i := range k.Subresources {
		if k.Subresources[i].Name == subresource && k.Subresources[i].Rules != nil {
			return k.Subresources[i].Rules
		}
	}
	return &Rules{}
}

// HasVerb tells whether the server answers the verb on the kind itself.
func (k *Kind) HasVerb(verb string) bool {
	verbs := k.Verbs
	if verbs == nil {
		verbs = AllVerbs()
	}
	for _, v := range verbs {
		if v == verb {
			return true
		}
	}
	return false
}

// AllVerbs are those of an ordinary stored kind, in discovery's order.
func AllVerbs() []string {
	return []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
}

// Rules are what is true of writes to a kind or to one of its subresources.
// Every function may be nil. Prepare functions change obj in place (the
// server owns it then); old is never changed.
type Rules struct {
	// Default fills unset fields as the version's defaults say. It runs after
	// decoding and must be idempotent.
	Default func(obj Object)
	// PrepareCreate drops what a client may not set (status) and sets what
	// the server owns, before admission.
	PrepareCreate func(obj Object)
	// PrepareUpdate carries over from old what this endpoint may not change:
	// the main endpoint keeps the status, the status endpoint all the rest.
	PrepareUpdate func(obj, old Object)
	// Stamp sets what depends on the request, after the Prepare functions: times
	// that the server owns, and who asks. old is nil for a create.
	Stamp func(obj, old Object, s Stamp)
	// Validate checks a new object; the metadata was checked before.
	Validate func(obj Object) field.ErrorList
	// ValidateUpdate checks a change, immutable fields included; it runs
	// Validate's rules itself where they apply to updates too.
	ValidateUpdate func(obj, old Object) field.ErrorList
	// Warn gives the warnings of a create (old nil) or an update.
	Warn func(obj, old Object) []string
	// Generation tells whether a change from old must raise
	// metadata.generation; nil: the kind has none.
	Generation func(obj, old Object) bool
	// Reset are the fields that the endpoint does not store, as paths of names,
	// so that its writers do not own them; nil: status, or for the status
	// endpoint spec.
	Reset [][]string
	// NameRule checks metadata.name and a generateName prefix; nil is the
	// DNS subdomain rule.
	NameRule func(name string, prefix bool) []string
	// OwnMeta tells that Validate and ValidateUpdate check the metadata too.
	OwnMeta bool
	// Meta says which of the rules for metadata the kind has.
	Meta MetaRule
	// MetaAgain tells that an update checks metadata also as a create does, so
	// that what is wrong with it is said once more.
	MetaAgain bool
	// MetaAsNew tells that an update checks metadata as a create does, and not
	// as other updates do.
	MetaAsNew bool
}

// MetaRule is how much a kind's own rules ask of metadata, beyond what is
// checked of every object.
type MetaRule int

const (
	// MetaStrict wants finalizers to be standard or fully qualified.
	MetaStrict MetaRule = iota
	// MetaLoose takes every well-formed finalizer.
	MetaLoose
	// MetaLast has no rules of the kind's own: a create has its metadata
	// checked only once everything else is right, and its name only as part
	// of a path.
	MetaLast
)

// Stamp is what a write's rules may know of its request.
type Stamp struct {
	Now metav1.Time
	// User is nil where nobody is known to ask.
	User user.Info
	// Warn tells the client of what Stamp changes, also where the write is
	// refused later; nil: nobody listens.
	Warn func(text string)
}

// GracefulDelete is how a graceful kind is to be deleted.
type GracefulDelete struct {
	// Seconds of grace that count for this deletion; zero deletes at once.
	Seconds int64
}

// Subresource is an endpoint below an object: scale, log, exec and the like.
type Subresource struct {
	Name string
	// GVK is what the endpoint takes and gives; its Kind stands in discovery.
	GVK   schema.GroupVersionKind
	Verbs []string
	// Rules are set where the endpoint writes the parent object through
	// generic code (ephemeralcontainers, resize, approval, finalize).
	Rules *Rules
	// Scale is set where the endpoint shows the parent as autoscaling/v1 Scale.
	Scale *ScaleOf
}

// ScaleOf maps a kind to autoscaling/v1 Scale.
type ScaleOf struct {
	// Get reads desired and observed replicas and the pod selector as text.
	Get func(obj Object) (spec, status int32, selector string)
	// Set writes the desired replicas.
	Set func(obj Object, replicas int32)
	// ReplicasPath is the field's path in the parent, for managed fields.
	ReplicasPath []string
	// Has tells whether the parent holds the desired replicas at all; nil:
	// always.
	Has func(obj Object) bool
}

// View serves the objects of another kind under this kind's names, as
// events.k8s.io shows core events.
type View struct {
	Of         *Kind
	FromStored func(obj Object) Object
	ToStored   func(obj Object) Object
}

// Column is a column of a table, as kubectl prints it.
type Column struct {
	Name, Type, Format, Description string
	// Priority zero is always shown, higher ones only by -o wide.
	Priority int32
}
