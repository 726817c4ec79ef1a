// Package policy judges writes by the validating and mutating admission
// policies of admissionregistration.k8s.io/v1, whose rules are CEL.
//
// A policy does nothing without a binding. Policies and bindings are read from
// the object cache when they first count after a change, and compiled when a
// write first matches them; what did not change stays compiled. Parameters are
// read from the cache at each write. Evaluation is bounded by the cost budgets
// of the CEL library. Writes that no policy is about cost a look at the rules.
//
// Policies is safe for concurrent use and owns nothing but compiled programs.
package policy
