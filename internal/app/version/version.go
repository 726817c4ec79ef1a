// Package version tells which Knarr this is and which Kubernetes it speaks.
package version

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	apiversion "k8s.io/apimachinery/pkg/version"
)

// Version says what was built from what.
type Version struct {
	// Knarr is the release, or "devel".
	Knarr string
	// Kubernetes is the API version that is spoken, as v1.36.6.
	Kubernetes          string
	GitCommit, GitState string
	Time                string
	Platform            string
}

// Get reads the version from what the Go linker recorded: the Kubernetes
// version is that of the API types in this very binary.
func Get() Version {
	v := Version{Knarr: "devel", Kubernetes: "v1.36.0", GitCommit: "unknown", GitState: "clean",
		Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Knarr = info.Main.Version
	}
	for _, dep := range info.Deps {
		if rest, ours := strings.CutPrefix(dep.Version, "v0."); ours && dep.Path == "k8s.io/api" {
			v.Kubernetes = "v1." + rest
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.GitCommit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			if modified, err := strconv.ParseBool(s.Value); err == nil && modified {
				v.GitState = "dirty"
			}
		}
	}
	return v
}

// API is the version as the API's /version answers it.
func (v Version) API() apiversion.Info {
	parts := strings.SplitN(strings.TrimPrefix(v.Kubernetes, "v"), ".", 3)
	return apiversion.Info{
		Major: parts[0], Minor: parts[1], EmulationMajor: parts[0], EmulationMinor: parts[1],
		MinCompatibilityMajor: parts[0], MinCompatibilityMinor: previous(parts[1]),
		GitVersion: v.Kubernetes + "+knarr", GitCommit: v.GitCommit, GitTreeState: v.GitState, BuildDate: v.Time,
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: v.Platform,
	}
}

func previous(minor string) string {
	n, err := strconv.Atoi(minor)
	if err != nil {
		return minor
	}
	return strconv.Itoa(n - 1)
}
