package pki

import (
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Status describes one certificate for people.
type Status struct {
	Name, Path, Subject string
	Expires             time.Time
	// Renews is when it will be replaced; zero for an authority, which is not.
	Renews time.Time
}

// Status lists authorities first, then certificates by name.
func (a *Authority) Status() []Status {
	out := []Status{a.caStatus("ca", clusterCAFile, a.cluster), a.caStatus("front-proxy-ca", frontProxyCAFile, a.frontProxy)}
	for _, c := range a.all() {
		c.mu.Lock()
		name := c.order.Name
		c.mu.Unlock()
		leaf := c.Leaf()
		out = append(out, Status{
			Name: name, Path: filepath.Join(a.dir, name+".pem"), Subject: leaf.Subject.String(),
			Expires: leaf.NotAfter, Renews: renewAt(leaf),
		})
	}
	slices.SortFunc(out[2:], func(x, y Status) int { return strings.Compare(x.Name, y.Name) })
	return out
}

func (a *Authority) caStatus(name, fileName string, ca *CA) Status {
	return Status{Name: name, Path: filepath.Join(a.dir, fileName), Subject: ca.cert.Subject.String(), Expires: ca.cert.NotAfter}
}
