// Package apiserver is the front door: it serves the Kubernetes API over the
// object cache.
//
// chain.go shows every step that a request from the wire takes, in order.
// What is behind the chain is split by question: package route reads URLs,
// negotiate the wanted forms, codec bytes, verb does the work on objects,
// admission judges it, managed keeps field owners, table prints. Requests from
// the server's own process (Transport) skip the wire and its limits on number
// and time, and nothing else: authorization, admission and audit see them all.
//
// A Server owns its connections and running watches. Objects belong to the
// cache and are never changed here.
package apiserver
