package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// scaling bounds a change of an autoscaler's mind: two samples of 15 seconds,
// and its own rhythm, on a machine with other work to do.
const scaling = 6 * time.Minute

// worker is a Deployment whose containers compute until somebody makes the
// file /idle.
const worker = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: busybox:1.35
        command: [sh, -c, "while true; do if [ -e /idle ]; then sleep 1; fi; done"]
        resources: {requests: {cpu: 20m}, limits: {cpu: 80m}}
`

const scaler = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: worker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: worker}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 100}}}]
  behavior:
    scaleUp: {stabilizationWindowSeconds: 0, policies: [{type: Pods, value: 1, periodSeconds: 5}]}
    scaleDown: {stabilizationWindowSeconds: 0, policies: [{type: Percent, value: 100, periodSeconds: 5}]}
`

// A fresh cluster tells what pods and nodes use, and scales by it.
func TestTopAndAutoscaling(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	s.Apply(t, worker)
	s.Rollout(t, "worker")
	for _, k := range cluster.Kubectls(t) {
		top(t, s, k.In(s.Name))
	}

	began := time.Now()
	s.Apply(t, scaler)
	harness.Await(t, scaling, "three replicas", func(ctx context.Context) error {
		d, err := s.API.AppsV1().Deployments(s.Name).Get(ctx, "worker", metav1.GetOptions{})
		if err == nil && *d.Spec.Replicas != 3 {
			err = fmt.Errorf("it has %d replicas", *d.Spec.Replicas)
		}
		return err
	})
	t.Logf("scaled up within %s", time.Since(began))
	s.Event(t, "worker", "SuccessfulRescale", "cpu resource utilization (percentage of request) above target")

	quiet := map[string]bool{}
	began = time.Now()
	harness.Await(t, scaling, "one replica that is left", func(ctx context.Context) error {
		pods, err := s.API.CoreV1().Pods(s.Name).List(ctx, metav1.ListOptions{LabelSelector: "app=worker"})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			if p := &pods.Items[i]; harness.IsReady(p) && p.DeletionTimestamp == nil && !quiet[p.Name] {
				// It may be told to go meanwhile.
				quiet[p.Name] = s.Kubectl.Try(t, "exec", p.Name, "--", "touch", "/idle").Err == nil
			}
		}
		d, err := s.API.AppsV1().Deployments(s.Name).Get(ctx, "worker", metav1.GetOptions{})
		if err == nil && *d.Spec.Replicas != 1 {
			err = fmt.Errorf("it has %d replicas", *d.Spec.Replicas)
		}
		return err
	})
	t.Logf("scaled down within %s", time.Since(began))
	harness.Await(t, scaling, "able autoscaler", func(ctx context.Context) error { // of a pod that is new there is no sample at first
		hpa, err := s.API.AutoscalingV2().HorizontalPodAutoscalers(s.Name).Get(ctx, "worker", metav1.GetOptions{})
		if err == nil && !(holds(hpa, autoscalingv2.AbleToScale) && holds(hpa, autoscalingv2.ScalingActive)) {
			err = fmt.Errorf("its conditions are %+v", hpa.Status.Conditions)
		}
		return err
	})
}

func holds(hpa *autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.HorizontalPodAutoscalerConditionType) bool {
	for _, c := range hpa.Status.Conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// top reads kubectl top's tables.
func top(t *testing.T, s *harness.Space, k harness.Kubectl) {
	t.Helper()
	pods := ""
	harness.Await(t, harness.Patience, "kubectl top that shows the pod", func(context.Context) error {
		out := k.Try(t, "top", "pod", "-l", "app=worker")
		pods = out.Stdout
		if out.Err != nil || !strings.Contains(pods, "worker-") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	if !regexp.MustCompile(`(?m)^NAME +CPU\(cores\) +MEMORY\(bytes\) *$`).MatchString(pods) || !regexp.MustCompile(`(?m)^worker-\S+ +[1-9][0-9]*m +[0-9]+Mi *$`).MatchString(pods) {
		t.Errorf("kubectl top pod:\n%s", pods)
	}
	nodes := k.Run(t, "top", "node")
	if !regexp.MustCompile(`(?m)^` + harness.NodeName + ` +[0-9]+m +[0-9]+% +[0-9]+Mi +[0-9]+% *$`).MatchString(nodes) {
		t.Errorf("kubectl top node:\n%s", nodes)
	}
	hasWords(t, k.Run(t, "top", "pod", "--containers", "-l", "app=worker"), "POD", "main")
	if list, err := s.API.Discovery().ServerResourcesForGroupVersion("metrics.k8s.io/v1beta1"); err != nil || len(list.APIResources) != 2 {
		t.Errorf("discovery: %+v, %v", list, err)
	}
}
