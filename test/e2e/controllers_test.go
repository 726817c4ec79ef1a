package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// A pod of a Deployment that goes is replaced; what is deleted takes what it
// owns along, or leaves it behind where that is asked for.
func TestOwnersAndTheirPods(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	k.Run(t, "create", "deployment", "crew", "--image="+nginx, "--replicas=2")
	s.Rollout(t, "crew")
	first := k.Run(t, "get", "pods", "-l", "app=crew", "-o", "jsonpath={.items[0].metadata.name}")
	k.Run(t, "delete", "pod", first)
	harness.Await(t, harness.Patience, "pod in the place of "+first, func(context.Context) error {
		if names := k.Run(t, "get", "pods", "-l", "app=crew", "-o", "name"); strings.Contains(names, first) || strings.Count(names, "pod/") != 2 {
			return fmt.Errorf("there are\n%s", names)
		}
		return nil
	})
	s.Rollout(t, "crew")
	k.Run(t, "delete", "deployment", "crew", "--cascade=orphan")
	sets := k.Run(t, "get", "replicasets", "-l", "app=crew", "-o", `jsonpath={.items[*].metadata.ownerReferences}`)
	if sets != "" {
		t.Errorf("the orphaned replica set still has owners: %s", sets)
	}
	k.Run(t, "get", "replicasets", "-l", "app=crew", "--no-headers")
	k.Run(t, "delete", "replicaset", "-l", "app=crew", "--cascade=foreground", "--timeout=4m")
	if left := k.Run(t, "get", "pods", "-l", "app=crew", "-o", "name"); left != "" {
		t.Errorf("foreground deletion has ended before these went: %s", left)
	}
}

// An update that cannot go on is said to be stalled; Recreate never runs two
// versions at a time.
func TestDeploymentStallsAndRecreates(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	k := s.Kubectl
	k.Run(t, "create", "deployment", "stuck", "--image="+nginx)
	s.Rollout(t, "stuck")
	k.Run(t, "patch", "deployment", "stuck", "-p", `{"spec":{"progressDeadlineSeconds":3,"template":{"spec":{"containers":[{"name":"nginx","readinessProbe":{"httpGet":{"path":"/nowhere","port":80},"periodSeconds":1}}]}}}}`)
	k.Fails(t, []string{"exceeded its progress deadline"}, "rollout", "status", "deployment/stuck", "--timeout=4m")
	is(t, k.Run(t, "get", "deployment", "stuck", "-o", "jsonpath={.status.availableReplicas}"), "1")
	k.Run(t, "rollout", "undo", "deployment/stuck")
	// That the deadline is over stays told until there is progress.
	harness.Await(t, harness.Patience, "end of the rollout that was undone", func(context.Context) error {
		return k.Try(t, "rollout", "status", "deployment/stuck", "--timeout=4m").Err
	})

	k.Run(t, "create", "deployment", "turns", "--image="+nginx)
	k.Run(t, "patch", "deployment", "turns", "-p", `{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}`)
	s.Rollout(t, "turns")
	watch := k.Start(t, "get", "pods", "-l", "app=turns", "-w", "-o", `jsonpath={.spec.containers[0].image} {.status.phase} {.metadata.deletionTimestamp}{"\n"}`)
	watch.Await(t, nginx+" Running")
	k.Run(t, "set", "image", "deployment/turns", "nginx="+nginxNext)
	s.Rollout(t, "turns")
	watch.Await(t, nginxNext+" Running")
	out := watch.Output()
	if next := strings.Index(out, nginxNext); !strings.Contains(out[:next], nginx+" Running 20") && !strings.Contains(out[:next], nginx+" Succeeded 20") {
		t.Errorf("the next version came before the former was told to go:\n%s", out)
	}
}

// A namespace goes with everything in it, and says so meanwhile.
func TestNamespaceGoes(t *testing.T) {
	t.Parallel()
	k := cluster.BuiltIn()
	api, err := cluster.API()
	if err != nil {
		t.Fatal(err)
	}
	const name = "e2e-goes"
	k.Run(t, "create", "namespace", name)
	t.Cleanup(func() { k.Try(t, "delete", "namespace", name, "--wait=false", "--ignore-not-found") })
	k = k.In(name)
	k.Run(t, "create", "deployment", "web", "--image="+nginx, "--replicas=2")
	k.Run(t, "create", "configmap", "held", "--from-literal=a=b")
	k.Run(t, "patch", "configmap", "held", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`)
	k.Run(t, "rollout", "status", "deployment/web", "--timeout=4m")
	k.Run(t, "delete", "namespace", name, "--wait=false")
	harness.Await(t, harness.Patience, "word of what holds the namespace", func(ctx context.Context) error {
		ns, err := api.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range ns.Status.Conditions {
			if c.Type == "NamespaceFinalizersRemaining" && c.Status == "True" && strings.Contains(c.Message, "example.com/hold in 1 resource instances") {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", ns.Status.Conditions)
	})
	k.Fails(t, []string{"because it is being terminated"}, "create", "configmap", "late", "--from-literal=a=b")
	k.Run(t, "patch", "configmap", "held", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	harness.Await(t, harness.Patience, "end of the namespace", func(ctx context.Context) error {
		if _, err := api.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is still there: %w", err)
		}
		return nil
	})
}
