// Package crd serves custom resources: it makes kinds out of
// CustomResourceDefinitions and puts them where the built-in kinds are, so that
// one request path serves both.
//
// A definition becomes one api.Kind for each of its versions, with rules made
// from its schema (pruning, defaults, validation, CEL rules, list types), its
// columns, selectable fields and scale, and a view for each version beside the
// one that is stored. Schemas are compiled when they are first needed, by the
// library packages of k8s.io/apiextensions-apiserver.
//
// The Controller follows the definitions. It owns the kinds of custom
// resources in the catalogue, the cache, discovery and OpenAPI, the status of
// definitions, and their finalizer customresourcecleanup: a definition that is
// deleted goes after its objects. A definition is served before its status says
// so, and says that it goes before it ceases to be served.
package crd
