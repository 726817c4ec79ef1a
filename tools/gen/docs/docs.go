// Package docs writes docs/api.md: everything that the API serves, from the
// catalogue. It holds no state.
package docs

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
)

// Path is where the page lies, from the root of the module.
const Path = "docs/api.md"

const intro = `# What the API serves

Generated from the catalogue of kinds (` + "`make generate`" + `); a test holds it current. ` + "`*`" + ` stands for the verbs of ordinary stored kinds:
create, delete, deletecollection, get, list, patch, update, watch. What answers differently from upstream stands in [api-differences.md](api-differences.md).
Custom resources and aggregated APIs come on top.
`

// Render makes the page.
func Render(c *catalog.Catalog) []byte {
	var b bytes.Buffer
	b.WriteString(intro)
	for _, g := range c.Groups() {
		for _, version := range g.Versions {
			gv := schema.GroupVersion{Group: g.Name, Version: version}
			fmt.Fprintf(&b, "\n## %s\n\n", gv)
			b.WriteString("| kind | resource | short names | categories | scope | verbs | subresources |\n|---|---|---|---|---|---|---|\n")
			for _, k := range c.InVersion(gv) {
				row(&b, k)
			}
		}
	}
	return b.Bytes()
}

func row(b *bytes.Buffer, k *api.Kind) {
	scope := "cluster"
	if k.Namespaced {
		scope = "namespace"
	}
	verbs := k.Verbs
	if verbs == nil {
		verbs = api.AllVerbs()
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", k.GVK.Kind, k.Resource, strings.Join(k.ShortNames, ", "),
		strings.Join(k.Categories, ", "), scope, verbsCell(verbs), strings.Join(subresources(k), "; "))
}

func verbsCell(verbs []string) string {
	if slices.Equal(verbs, api.AllVerbs()) {
		return "`*`"
	}
	return strings.Join(verbs, ", ")
}

func subresources(k *api.Kind) []string {
	var out []string
	for _, s := range k.Subresources {
		out = append(out, s.Name+" ("+strings.Join(s.Verbs, ", ")+")")
	}
	if k.Status != nil {
		out = append(out, "status (get, patch, update)")
	}
	slices.Sort(out)
	return out
}
