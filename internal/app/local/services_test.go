package local

import (
	"slices"
	"testing"
)

// The runtime pulls by the proxies that `up` was told of, and learns nothing
// else of its environment.
func TestProxiesOfTheRuntime(t *testing.T) {
	got := Proxies([]string{"HOME=/root", "HTTP_PROXY=http://p:1", "https_proxy=http://p:2", "NO_PROXY=a,b", "MY_HTTP_PROXY=x", "SECRET=x"})
	if want := []string{"HTTP_PROXY=http://p:1", "https_proxy=http://p:2", "NO_PROXY=a,b"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
