// Package remedy says with an error what the user can do about it. It keeps
// nothing. The program prints an error's text as it is, so that the remedy is
// the last line that people see.
package remedy

import (
	"errors"
	"fmt"
)

// Mark is what stands between an error's text and what to do about it.
const Mark = "\n    what to do: "

// with is an error and what to do about it.
type with struct {
	error
	do string
}

func (e *with) Error() string { return e.error.Error() + Mark + e.do }

func (e *with) Unwrap() error { return e.error }

// New is an error of that text with what to do about it.
func New(text, do string) error { return &with{errors.New(text), do} }

// For says what to do about an error, unless that was said already: who is
// nearer to the cause knows better. A nil error stays nil.
func For(err error, format string, args ...any) error {
	if err == nil || Of(err) != "" {
		return err
	}
	return &with{err, fmt.Sprintf(format, args...)}
}

// Of is what to do about an error; empty where nothing was said.
func Of(err error) string {
	var e *with
	if errors.As(err, &e) {
		return e.do
	}
	return ""
}
