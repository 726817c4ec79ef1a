package knarrtest

import "testing"

// Run starts a server for the length of a test. The test fails where there is
// none; the end of the server's log is shown where the test failed.
func Run(t testing.TB, options ...Options) *Server {
	t.Helper()
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatalf("start a Kubernetes API: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop the Kubernetes API: %v", err)
		}
		if t.Failed() && o.Log == nil {
			t.Logf("the Kubernetes API's log:\n%s", s.Log())
		}
	})
	return s
}
