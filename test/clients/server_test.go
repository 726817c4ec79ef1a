package clients

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/knarrtest"
)

// patience bounds each wait; on an idle machine all take well under a second.
const patience = 4 * time.Minute

// start gives the test a server and the administrator's way to it.
func start(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.RESTConfigFromKubeConfig(knarrtest.Run(t).Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1 // as fast as the server answers
	return config
}

// await waits until f finds what it looks for, or fails the test with f's last
// complaint.
func await(t *testing.T, what string, f func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = f(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("no %s: %v", what, last)
	}
}
