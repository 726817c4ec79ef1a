// Package fault classes errors, so that each edge (gRPC, HTTP) can answer with
// its own code for the same reason.
package fault

import (
	"errors"
	"fmt"
)

// Kind is the class of an error.
type Kind int

// The classes. Internal is what has no other.
const (
	Internal Kind = iota
	NotFound
	Invalid
	Exists
	Precondition
	Unauthenticated
	Unavailable
	Exhausted
	DeadlineExceeded
)

type classed struct {
	kind Kind
	err  error
}

func (c *classed) Error() string { return c.err.Error() }
func (c *classed) Unwrap() error { return c.err }

// As gives err the class kind. A nil error stays nil.
func As(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &classed{kind, err}
}

// New is an error of class kind, formatted as fmt.Errorf does.
func New(kind Kind, format string, args ...any) error {
	return &classed{kind, fmt.Errorf(format, args...)}
}

// Of returns the outermost class of err.
func Of(err error) Kind {
	var c *classed
	if errors.As(err, &c) {
		return c.kind
	}
	return Internal
}

// Is says whether err has class kind.
func Is(err error, kind Kind) bool { return err != nil && Of(err) == kind }
