package oci

import (
	"encoding/json"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// Features are what a handler says that it can do (OCI runtime specification,
// "features.md"). A program that says nothing can do nothing special.
type Features struct {
	// RecursiveReadonly is read-only mounts with all below them.
	RecursiveReadonly bool
	// UserNamespaces is containers of other users, with mapped mounts.
	UserNamespaces bool
}

// asked is what a program said when it was the file of stamp.
type asked struct {
	stamp time.Time
	said  Features
}

// Features asks the program, once for each version of its file.
func (r *Runtime) Features() Features {
	fi, err := os.Stat(r.config.Path)
	if err != nil {
		return Features{}
	}
	if last := r.asked.Load(); last != nil && last.stamp.Equal(fi.ModTime()) {
		return last.said
	}
	now := asked{stamp: fi.ModTime(), said: r.ask()}
	r.asked.Store(&now)
	return now.said
}

func (r *Runtime) ask() Features {
	out, err := r.output("features")
	if err != nil {
		return Features{}
	}
	var said features.Features
	if err := json.Unmarshal(out, &said); err != nil {
		return Features{}
	}
	f := Features{RecursiveReadonly: slices.Contains(said.MountOptions, "rro")}
	if l := said.Linux; l != nil && l.MountExtensions != nil && l.MountExtensions.IDMap != nil && l.MountExtensions.IDMap.Enabled != nil {
		f.UserNamespaces = *l.MountExtensions.IDMap.Enabled && slices.Contains(l.Namespaces, "user")
	}
	return f
}
