package verb

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"
)

type contextKey uint8

const (
	userKey contextKey = iota
	warnKey
)

func withUser(ctx context.Context, u user.Info) context.Context {
	return context.WithValue(ctx, userKey, u)
}

func userOf(ctx context.Context) user.Info {
	u, _ := ctx.Value(userKey).(user.Info)
	return u
}

// WithWarnings makes warnings of the request go to fn. fn is called from the
// request's goroutine only.
func WithWarnings(ctx context.Context, fn func(text string)) context.Context {
	return context.WithValue(ctx, warnKey, fn)
}

// Warn sends a warning to the client of the request.
func Warn(ctx context.Context, text string) {
	if fn, ok := ctx.Value(warnKey).(func(string)); ok {
		fn(text)
	}
}
