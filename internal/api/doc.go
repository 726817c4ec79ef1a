// Package api is the catalogue of kinds: what Knarr serves, and what is true
// of each kind.
//
// A kind is a declaration (Spec) of names, scope, defaults, validation,
// strategy, printer columns and subresources. One folder per API group holds
// one file per kind; package catalog lists them all. Generic code elsewhere
// (store cache, API server, client) works from the declaration, so that a new
// kind costs its declaration and nothing else.
//
// Types are those of k8s.io/api: there is no second type tree. Functions of a
// declaration are pure: what they need to know comes in as an argument, and
// they neither block nor read a clock.
package api
