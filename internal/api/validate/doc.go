// Package validate holds the checks that kinds of several API groups share:
// names, labels, numbers, enumerations, addresses, quantities and the rule
// that a field does not change.
//
// Every function is pure and returns field errors whose type, path, value and
// text are those of upstream's server, since clients read them. The functions
// of k8s.io/apimachinery are used wherever they give exactly that.
package validate
