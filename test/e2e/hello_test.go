package e2e

import (
	"context"
	"errors"
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
	k.Run(t, "rollout", "status", "deployment/hello", "--timeout=4m")

	const words = "Hello from Knarr!"
	for _, name := range []string{"hello.hello.svc.cluster.local", "hello", "hello.hello", "hello.hello.svc"} {
		harness.Await(t, harness.Patience, "page of "+name+" from a pod", func(context.Context) error {
			out := k.Try(t, "exec", "deployment/hello", "--", "/hello", "fetch", "http://"+name)
			if !strings.Contains(out.Stdout, words) || !strings.Contains(out.Stdout, "a Secret of 15 letters is set") {
				return errors.New(out.String())
			}
			return nil
		})
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
	client.Timeout = harness.Patience
	seen := map[string]bool{}
	harness.Await(t, harness.Patience, fmt.Sprintf("answer of each of %d pods", pods), func(ctx context.Context) error {
		page, err := harness.Fetch(ctx, client, url, "")
		if err != nil {
			t.Fatal(err)
		}
		if seen[page] = true; len(seen) < pods {
			return fmt.Errorf("only these have answered: %v", seen)
		}
		return nil
	})
}

// example is the path of a file in examples/.
func example(path string) string {
	absolute, err := filepath.Abs(filepath.Join("..", "..", "examples", path))
	if err != nil {
		panic(err) // there is no working directory
	}
	return absolute
}
