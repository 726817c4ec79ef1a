// Package platform tells whether an image was made for this machine. It only
// compares: an image that says nothing of its platform suits every machine.
package platform

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/knarr-io/knarr/runtime/fault"
)

// Host is the platform whose images run here.
func Host() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// Suits says whether an image for p runs here; an empty field suits.
func Suits(p v1.Platform) bool {
	return (p.OS == "" || p.OS == Host().OS) && (p.Architecture == "" || p.Architecture == Host().Architecture)
}

// Of is the platform that an image's configuration names. One that cannot be
// read names none: whoever needs its content finds that out.
func Of(config []byte) v1.Platform {
	var c struct{ OS, Architecture, Variant string }
	if json.Unmarshal(config, &c) != nil {
		return v1.Platform{}
	}
	return v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
}

// Other is the error of something that is there for other platforms only. Its class is NotFound.
func Other(what string, there ...v1.Platform) error {
	var names []string
	for _, p := range there {
		if n := fmt.Sprintf("%s/%s", p.OS, p.Architecture); p.OS != "unknown" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return fault.New(fault.NotFound, "%s is for %s, and this node runs %s/%s: no match for platform",
		what, strings.Join(names, ", "), Host().OS, Host().Architecture)
}
