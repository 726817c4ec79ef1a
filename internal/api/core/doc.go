// Package core declares the kinds of the core group, version v1: pods,
// services, configuration, nodes, storage claims and the rest.
//
// One file holds one kind; what a pod spec needs (defaults, checks, warnings,
// columns) is spread over files named pod_*.go, since templates of other
// groups use it too: DefaultPodTemplate, ValidatePodTemplate,
// ValidatePodTemplateUpdate and PodTemplateWarnings.
//
// Everything here is pure and keeps no state.
package core
