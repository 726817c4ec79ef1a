// Package listing reads what a list or watch asks for: which objects
// (selectors), of which time (resourceVersion and how to match it), and which
// part of them (limit and continue token).
//
// It is pure; errors are the API status errors that upstream answers.
package listing

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
)

// Match tells which state a list reads.
type Match uint8

// The ways of matching a resourceVersion.
const (
	// Newest reads the newest state.
	Newest Match = iota
	// Any reads what is at hand.
	Any
	// NotOlderThan reads a state of at least the revision.
	NotOlderThan
	// Exact reads the state as of the revision.
	Exact
)

// Query is a list or watch that was understood.
type Query struct {
	Selector Selector
	Match    Match
	Revision store.Revision
	Limit    int64
	// After is where a continued list goes on; both empty: from the start.
	AfterNamespace, AfterName string
	// Inconsistent marks a list that continues on newer state than it began.
	Inconsistent bool

	// SendInitial asks a watch for the state first, as ADDED events.
	SendInitial bool
	Bookmarks   bool
	// Timeout of a watch in seconds; zero leaves it to the server.
	Timeout int64
}

// Parse reads the options of a list, watch or deletecollection of the kind.
func Parse(k *api.Kind, namespace string, o metav1.ListOptions, isWatch bool) (Query, error) {
	o.Watch = isWatch
	selector, err := ParseSelector(k, o.LabelSelector, o.FieldSelector)
	if err != nil {
		return Query{}, err
	}
	selector.Namespace = namespace
	internal := internalOptions(o)
	internalversion.SetListOptionsDefaults(internal, true)
	if errs := validation.ValidateListOptions(internal, true); len(errs) > 0 {
		return Query{}, invalidOptions(errs)
	}
	q := Query{Selector: selector, Limit: max(0, o.Limit), Bookmarks: o.AllowWatchBookmarks,
		SendInitial: internal.SendInitialEvents != nil && *internal.SendInitialEvents}
	if o.TimeoutSeconds != nil {
		q.Timeout = *o.TimeoutSeconds
	}
	if isWatch {
		return q, q.watchFrom(o.ResourceVersion)
	}
	return q, q.matchBy(o)
}

func internalOptions(o metav1.ListOptions) *internalversion.ListOptions {
	return &internalversion.ListOptions{
		LabelSelector: labels.Everything(), FieldSelector: fields.Everything(), Watch: o.Watch,
		AllowWatchBookmarks: o.AllowWatchBookmarks, ResourceVersion: o.ResourceVersion,
		ResourceVersionMatch: o.ResourceVersionMatch, TimeoutSeconds: o.TimeoutSeconds, Limit: o.Limit,
		Continue: o.Continue, SendInitialEvents: o.SendInitialEvents,
	}
}

func invalidOptions(errs field.ErrorList) error {
	return errors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "ListOptions"}, "", errs)
}

func (q *Query) watchFrom(rv string) error {
	rev, err := ParseRevision(rv)
	if err != nil {
		return err
	}
	q.Revision = rev
	return nil
}

// matchBy settles which state a list reads.
func (q *Query) matchBy(o metav1.ListOptions) error {
	if o.Continue != "" {
		return q.continueFrom(o)
	}
	if o.ResourceVersion == "" {
		return nil
	}
	rev, err := ParseRevision(o.ResourceVersion)
	if err != nil {
		return errors.NewBadRequest("invalid resource version: " + err.Error())
	}
	q.Revision = rev
	switch {
	case rev == 0:
		q.Match = Any
	case o.ResourceVersionMatch == metav1.ResourceVersionMatchExact:
		q.Match = Exact
	case o.ResourceVersionMatch == "" && o.Limit > 0:
		q.Match = Exact
	default:
		q.Match = NotOlderThan
	}
	return nil
}

func (q *Query) continueFrom(o metav1.ListOptions) error {
	token, err := decodeToken(o.Continue)
	if err != nil {
		return errors.NewBadRequest("invalid continue token: " + err.Error())
	}
	if o.ResourceVersion != "" && o.ResourceVersion != "0" {
		return errors.NewBadRequest("specifying resource version is not allowed when using continue")
	}
	q.AfterNamespace, q.AfterName = token.place(q.Selector.namespaced)
	if token.Revision < 0 {
		q.Inconsistent = true
		return nil
	}
	q.Match, q.Revision = Exact, store.Revision(token.Revision)
	return nil
}

// ParseRevision reads a resourceVersion; empty is zero. Its error is not an
// API status: upstream answers it differently from place to place.
func ParseRevision(rv string) (store.Revision, error) {
	if rv == "" {
		return 0, nil
	}
	rev, err := strconv.ParseUint(rv, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resourceVersion: Invalid value: %q: %w", rv, err)
	}
	return store.Revision(rev), nil
}
