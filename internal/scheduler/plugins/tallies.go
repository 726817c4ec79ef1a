package plugins

import "github.com/knarr-io/knarr/internal/scheduler/framework"

// mostTallied is how many classes are taken by their tallies: where more of
// them matter, going through the nodes costs less.
const mostTallied = 16

// matching are the classes that the question is answered yes for; ok is false
// where there are too many to count each by its tallies.
func matching(v *framework.View, waryOnly bool, ask func(*framework.Class) bool) (out []*framework.Class, ok bool) {
	v.Classes.Each(waryOnly, func(c *framework.Class) {
		if len(out) <= mostTallied && ask(c) {
			out = append(out, c)
		}
	})
	return out, len(out) <= mostTallied
}
