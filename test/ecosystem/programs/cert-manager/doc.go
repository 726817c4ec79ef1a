// Package programs holds cert-manager's three programs, as far as its module
// lacks them: upstream keeps their main packages in modules that no proxy
// serves. What they do is in cert-manager's own packages; here it is started
// with the flags that its Helm chart gives. The module's path lies below
// cert-manager's because the programs are made of its internal packages.
package programs
