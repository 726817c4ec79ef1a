package cli

import (
	"github.com/spf13/pflag"

	"github.com/knarr-io/knarr/internal/app/local"
)

// asBefore leaves as it was what makes the cluster the one in the data folder,
// and where it lies besides: no flag, file or variable has to say it again. A
// state that cannot be read is told of by the command itself.
func (c *clusterFlags) asBefore(flags *pflag.FlagSet) {
	before, err := local.Recall(c.Settings)
	if err != nil {
		return
	}
	for flag, take := range map[string]func(){
		"pod-network":     func() { c.Pods = before.Pods },
		"service-network": func() { c.Services = before.Services },
		"cluster-domain":  func() { c.Domain = before.Domain },
		"cluster-dns":     func() { c.DNS = before.DNS },
		"run-dir":         func() { c.RunDir = before.RunDir },
		"pod-log-dir":     func() { c.LogDir = before.LogDir },
		"cgroup-parent":   func() { c.CgroupParent = before.CgroupParent },
		"node-name":       func() { c.NodeName = before.NodeName },
		"api-port":        func() { c.APIPort = before.APIPort },
		"http-port":       func() { c.HTTPPort = before.HTTPPort },
		"https-port":      func() { c.HTTPSPort = before.HTTPSPort },
	} {
		if !flags.Changed(flag) {
			take()
		}
	}
}
