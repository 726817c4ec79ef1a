package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// nodeURL is a URL at the node's address.
func nodeURL(port int) string { return fmt.Sprintf("http://%s:%d/", cluster.Machine.Address, port) }

// The hello example answers in all the ways that README names.
func TestHelloAnswersInEachWay(t *testing.T) {
	t.Parallel()
	k := cluster.BuiltIn()
	k.Run(t, "apply", "-f", example("hello/hello.yaml"))
	t.Cleanup(func() { k.Try(t, "delete", "--wait=false", "-f", example("hello/hello.yaml")) })
	k = k.In("hello")
	k.Run(t, "rollout", "status", "deployment/hello", "--timeout=120s")

	const words = "Hello from Knarr!"
	page := k.Run(t, "exec", "deployment/hello", "--", "/hello", "fetch", "http://hello.hello.svc.cluster.local")
	if !strings.Contains(page, words) || !strings.Contains(page, "a Secret of 15 letters is set") {
		t.Errorf("by DNS name from a pod: %q", page)
	}
	for _, short := range []string{"http://hello", "http://hello.hello", "http://hello.hello.svc"} {
		if page := k.Run(t, "exec", "deployment/hello", "--", "/hello", "fetch", short); !strings.Contains(page, words) {
			t.Errorf("%s from a pod: %q", short, page)
		}
	}
	for name, dial := range map[string]harness.Dialer{"node": cluster.Machine.Dial, "outside": cluster.Machine.DialOutside} {
		t.Run("node port from the "+name, func(t *testing.T) { harness.AwaitPage(t, dial, nodeURL(30080), "", words) })
		t.Run("ingress from the "+name, func(t *testing.T) {
			harness.AwaitPage(t, dial, nodeURL(cluster.Ports.HTTP), "hello.example", words)
		})
	}
	t.Run("every pod has its share", func(t *testing.T) { everyPodAnswers(t, nodeURL(30080), 3) })
}

// everyPodAnswers fetches until as many pods have answered as there are.
func everyPodAnswers(t *testing.T, url string, pods int) {
	client := harness.Browser(cluster.Machine.DialOutside, false)
	seen := map[string]bool{}
	for range 200 {
		page, err := harness.Fetch(t.Context(), client, url, "")
		if err != nil {
			t.Fatal(err)
		}
		seen[page] = true
		if len(seen) == pods {
			return
		}
	}
	t.Errorf("of %d pods only these answered 200 requests: %v", pods, seen)
}

// example is the path of a file in examples/.
func example(path string) string {
	absolute, err := filepath.Abs(filepath.Join("..", "..", "examples", path))
	if err != nil {
		panic(err) // there is no working directory
	}
	return absolute
}
