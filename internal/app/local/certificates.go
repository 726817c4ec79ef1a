package local

import (
	"fmt"
	"time"

	"github.com/knarr-io/knarr/internal/base/pki"
)

// Certificates are those that keep the cluster on this machine going, or its
// node, where it joined another one. They are read from their files, as root.
func Certificates(s Settings) ([]pki.Status, error) {
	_, known, err := loadState(s.stateFile())
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, noCluster(s)
	}
	folder := s.PKI()
	if s.Server != "" {
		folder = s.identity()
	}
	return pki.Inspect(folder)
}

// lastYear is when an authority, which nothing renews, is worth a word.
const lastYear = 365 * 24 * time.Hour

// overdue tells what is wrong with a certificate; empty where nothing is.
// Renewal has its time: half of what is left when it is due.
func overdue(c pki.Status, now time.Time) string {
	switch {
	case c.Renews.IsZero() && c.Expires.Sub(now) < lastYear:
		return fmt.Sprintf("the authority %s ends %s: start a new cluster before", c.Name, c.Expires.Format(time.DateOnly))
	case !c.Renews.IsZero() && now.After(c.Renews.Add(c.Expires.Sub(c.Renews)/2)):
		return fmt.Sprintf("certificate %s was to be renewed %s and ends %s: the server's log says why", c.Name,
			c.Renews.Format(time.DateTime), c.Expires.Format(time.DateTime))
	}
	return ""
}
