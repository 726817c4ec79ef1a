// Package discovery answers which groups, versions and resources are served:
// /api, /apis and the paths below, one list per version (legacy) or all at
// once (aggregated discovery, KEP-3352).
//
// Everything is computed when the set of groups changes, and each answer is
// encoded at most once per media type. A Handler owns the current set and is
// safe for concurrent use.
package discovery
