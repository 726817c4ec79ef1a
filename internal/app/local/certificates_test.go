package local

import (
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/base/pki"
)

func TestOverdueCertificatesAreTold(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	leaf := func(renews, expires time.Duration) pki.Status {
		return pki.Status{Name: "leaf", Renews: now.Add(renews), Expires: now.Add(expires)}
	}
	for name, tc := range map[string]struct {
		cert pki.Status
		want string
	}{
		"fresh":                  {leaf(200*day, 300*day), ""},
		"short-lived":            {leaf(time.Second, 3*time.Second), ""},
		"being renewed":          {leaf(-time.Second, 3*time.Second), ""},
		"not renewed for long":   {leaf(-60*day, 40*day), "was to be renewed 2025-11-02"},
		"ended":                  {leaf(-60*day, -day), "ends 2025-12-31"},
		"authority":              {pki.Status{Name: "ca", Expires: now.Add(3000 * day)}, ""},
		"authority near its end": {pki.Status{Name: "ca", Expires: now.Add(100 * day)}, "the authority ca ends 2026-04-11"},
	} {
		got := overdue(tc.cert, now)
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q in it", name, got, tc.want)
		}
	}
}
