// Package celenv is the CEL environment of admission: webhooks' match
// conditions and policies are compiled in it. It costs some milliseconds and
// megabytes, and is made when the first expression is compiled.
package celenv

import (
	"k8s.io/apiserver/pkg/cel/environment"
)

// Base is the environment of upstream's current minor version. The library
// keeps the one that it makes and shares it.
func Base() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
}
