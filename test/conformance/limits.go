package main

import "strings"

// limit is why critest's cases of one kind cannot pass on the machine of the
// run, though nothing is wrong with the runtime.
type limit struct {
	// cases is a part of the cases' names.
	cases string
	why   string
}

// limits are all that are known. A case that passes is passed whatever stands here.
func limits() []limit {
	return []limit{
		{"AppArmor", "the kernel of the run has no AppArmor"},
		{"SELinux", "the kernel of the run has no SELinux"},
		{"selinux", "the kernel of the run has no SELinux"},
		{"port mapping with host port and container port",
			"host ports are the cluster's network's, which a runtime alone has not; test/e2e/network\\_test.go asks for them in a cluster"},
		{"public image with digest should be pulled and removed",
			"names an image of a public registry by its digest, which no image made for the run can have; " +
				"runtime/test/images\\_test.go pulls by digest"},
	}
}

// limitOf is why a case could not pass; empty if nothing explains it.
func limitOf(name string) string {
	for _, l := range limits() {
		if strings.Contains(name, l.cases) {
			return l.why
		}
	}
	return ""
}
