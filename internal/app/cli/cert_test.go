package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/knarr-io/knarr/internal/base/pki"
)

func TestCertificatesAreShown(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	const day = 24 * time.Hour
	var out strings.Builder
	err := printCertificates(&out, []pki.Status{
		{Name: "ca", Subject: "CN=kubernetes", Expires: in(3650 * day)},
		{Name: "apiserver", Subject: "CN=kube-apiserver", Expires: in(365 * day), Renews: in(243*day + time.Hour)},
		{Name: "admin", Subject: "CN=kubernetes-admin", Expires: in(time.Minute), Renews: in(40 * time.Second)},
		{Name: "late", Subject: "CN=late", Expires: in(time.Minute), Renews: in(-time.Second)},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	const want = `NAME        SUBJECT               EXPIRES               RENEWED
ca          CN=kubernetes         2035-12-30 00:00:00   never
apiserver   CN=kube-apiserver     2027-01-01 00:00:00   in 243 days
admin       CN=kubernetes-admin   2026-01-01 00:01:00   in 40s
late        CN=late               2026-01-01 00:01:00   in a moment
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
