// Package zpages answers /statusz and /flagz (KEP-4827, KEP-4828): what a
// component is and since when it runs, and the flags that it was started with,
// as text for people, or as objects of config.k8s.io for programs that ask for
// them.
//
// It is pure but for the clock; who may ask is the chain's concern.
package zpages

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/munnerz/goautoneg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	group    = "config.k8s.io"
	warning  = "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only."
	oldest   = "v1alpha1"
	newest   = "v1beta1"
	outdated = `299 - "This version of the %s endpoint is deprecated. Please use a newer version."`
)

// Component is what the pages tell of.
type Component struct {
	Name    string // as upstream names it
	Version string // of the program
	Started time.Time
	// Emulates is the version of Kubernetes that is served, as 1.36.
	Emulates string
	// Paths are those that are served; statusz names their first parts.
	Paths func() []string
	// Flags are the settings by name; secrets must not be among them.
	Flags map[string]string
}

// page is one of the two: its kind, its text below the head, its fields.
type page struct {
	kind string
	text func() string
	body func() map[string]any
}

// Statusz answers /statusz.
func (c Component) Statusz() http.Handler {
	return c.serve(page{"Statusz", func() string {
		up := int64(time.Since(c.Started).Seconds())
		return fmt.Sprintf("\nStarted: %s\nUp: %d hr %02d min %02d sec\nGo version: %s\nBinary version: %s\nEmulation version: %s\nPaths: %s\n",
			c.Started.Format(time.UnixDate), up/3600, up/60%60, up%60, runtime.Version(), c.Version, c.Emulates, strings.Join(c.folders(), " "))
	}, func() map[string]any {
		return map[string]any{
			"startTime": metav1.NewTime(c.Started), "uptimeSeconds": int64(time.Since(c.Started).Seconds()), "goVersion": runtime.Version(),
			"binaryVersion": c.Version, "emulationVersion": c.Emulates, "paths": c.folders(),
		}
	}})
}

// Flagz answers /flagz.
func (c Component) Flagz() http.Handler {
	return c.serve(page{"Flagz", func() string {
		var out strings.Builder
		for _, name := range slices.Sorted(maps.Keys(c.Flags)) {
			fmt.Fprintf(&out, "%s=%s\n", name, c.Flags[name])
		}
		return out.String()
	}, func() map[string]any { return map[string]any{"flags": c.Flags} }})
}

// folders are the first parts of the paths that are there for looking at the
// component; those of the API are not.
func (c Component) folders() []string {
	out := []string{}
	for _, path := range c.Paths() {
		first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		switch first {
		case "", "api", "apis", "openid", "openapi", ".well-known":
			continue
		}
		out = append(out, "/"+first)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c Component) serve(p page) http.Handler {
	name := strings.ToLower(p.kind)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		media, version, ok := accepted(r.Header.Get("Accept"), p.kind)
		switch {
		case !ok:
			http.Error(w, "only the following media types are accepted: text/plain, application/json;as="+p.kind+";v="+newest+";g="+group+", application/yaml;as="+
				p.kind+";v="+newest+";g="+group, http.StatusNotAcceptable)
			return
		case media == "text/plain":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprintf(w, "\n%s %s\n%s\n%s", c.Name, name, warning, p.text())
			return
		case version == oldest:
			w.Header().Set("Warning", fmt.Sprintf(outdated, name))
		}
		body := p.body()
		body["kind"], body["apiVersion"], body["metadata"] = p.kind, group+"/"+version, map[string]any{"name": c.Name}
		data, err := json.Marshal(body)
		if err == nil && media == "application/yaml" {
			data, err = yaml.JSONToYAML(data)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", media)
		_, _ = w.Write(data) // a client that went away is no error of ours
	})
}

// maxAccept bounds the header that is looked at, in bytes.
const maxAccept = 4 << 10

// accepted settles the form of the answer. Without a wish it is text.
func accepted(header, kind string) (media, version string, ok bool) {
	if strings.TrimSpace(header) == "" {
		return "text/plain", "", true
	}
	if len(header) > maxAccept {
		return "", "", false
	}
	for _, clause := range goautoneg.ParseAccept(header) {
		media = clause.Type + "/" + clause.SubType
		switch media {
		case "*/*", "text/*", "text/plain":
			return "text/plain", "", true
		case "application/json", "application/yaml":
			version = clause.Params["v"]
			if clause.Params["as"] == kind && clause.Params["g"] == group && (version == oldest || version == newest) {
				return media, version, true
			}
		}
	}
	return "", "", false
}
