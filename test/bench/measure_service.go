package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/client"
)

// How often the address of a Service is waited for, and how many rolling
// updates there are, of how many pods.
const (
	serviceRounds = 10
	rollingRounds = 3
	rolledPods    = 10
)

// webServer ends open connections in peace when it is told to stop.
const webServer = "nginx:1.22"

// measureServices asks for pods by the address of their Service, from the
// machine, which is the first node: just after they are Ready, and while all of
// them are replaced.
func measureServices(ctx context.Context, c *cluster) ([]figure, error) {
	var figures []figure
	for _, nodes := range []int{1, 2} {
		if err := c.down(ctx, "--purge"); err != nil {
			return nil, err
		}
		if _, err := c.up(ctx, "--nodes", strconv.Itoa(nodes)); err != nil {
			return nil, err
		}
		if err := c.importImage(ctx); err != nil {
			return nil, err
		}
		if _, err := c.knarrRun(ctx, "image", "import", filepath.Join(c.images, "docker.io_library_nginx_1.22.tar")); err != nil {
			return nil, err
		}
		where := "the same node"
		budget := "5"
		if nodes > 1 {
			where, budget = "another node", "20"
		}
		var took []float64
		for i := range serviceRounds {
			ms, err := c.answersAfterReady(ctx, fmt.Sprintf("answer-%d", i), nodes)
			if err != nil {
				return nil, err
			}
			took = append(took, ms)
		}
		figures = append(figures, spread("the address of a Service answers after its first pod is Ready, "+where, "ms", budget, took))
		rolled, err := c.rollUnderLoad(ctx, nodes)
		if err != nil {
			return nil, err
		}
		figures = append(figures, rolled...)
	}
	return figures, c.down(ctx, "--purge")
}

// answersAfterReady makes a Service and its one pod on the last node, and tells
// how long the address took to answer after the pod was seen to be Ready.
func (c *cluster) answersAfterReady(ctx context.Context, name string, node int) (float64, error) {
	address, err := c.expose(ctx, name, 8080)
	if err != nil {
		return 0, err
	}
	nodes, _, err := client.For[*corev1.Node](c.client).List(ctx, "", metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	if len(nodes) != node {
		return 0, fmt.Errorf("there are %d nodes instead of %d", len(nodes), node)
	}
	spec := podSpec()
	spec.Containers[0].ReadinessProbe = probe(8080)
	spec.NodeName = nodes[node-1].Name
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}}, Spec: spec}
	_, err = c.timed(ctx, name, func() error {
		_, err := client.For[*corev1.Pod](c.client).Create(ctx, pod)
		return err
	}, func(p *corev1.Pod, _ watch.EventType) bool { return isReady(p) })
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := awaitAnswer(ctx, address); err != nil {
		return 0, err
	}
	took := milliseconds(time.Since(begun))
	_, err = c.deletePod(ctx, name)
	return took, err
}

// awaitAnswer asks, each time anew, until there is an answer.
func awaitAnswer(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, podTime)
	defer cancel()
	client := browser(false)
	for {
		err := get(ctx, client, address)
		if err == nil {
			return nil
		}
		if pause(ctx, 200*time.Microsecond) != nil {
			return fmt.Errorf("%s does not answer: %w", address, err)
		}
	}
}

// expose makes a Service of the pods with the label app=name and gives its URL.
func (c *cluster) expose(ctx context.Context, name string, port int32) (string, error) {
	made, err := client.For[*corev1.Service](c.client).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(port)}}},
	})
	if err != nil {
		return "", err
	}
	return "http://" + made.Spec.ClusterIP + "/", nil
}

func probe(port int32) *corev1.Probe {
	return &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(port)}}}
}

// rollUnderLoad replaces the pods of a Deployment, none of which has a preStop
// hook, while requests come.
func (c *cluster) rollUnderLoad(ctx context.Context, nodes int) ([]figure, error) {
	const name = "rolled"
	address, err := c.expose(ctx, name, 80)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{"app": name}
	replicas := int32(rolledPods)
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: webServer, ReadinessProbe: probe(80)}}}}}}
	if _, err := client.For[*appsv1.Deployment](c.client).Create(ctx, d); err != nil {
		return nil, err
	}
	if err := c.awaitRolled(ctx, name); err != nil {
		return nil, err
	}
	var took, fresh, kept []float64
	for i := range rollingRounds {
		opening, keeping := startLoad(ctx, address, false), startLoad(ctx, address, true)
		begun := time.Now()
		err := c.rollOnce(ctx, name, i)
		took = append(took, time.Since(begun).Seconds())
		made, failed := opening.end()
		again, lost := keeping.end()
		if err != nil {
			return nil, err
		}
		if made == 0 || again == 0 {
			return nil, fmt.Errorf("a rolling update saw %d and %d requests", made, again)
		}
		fresh, kept = append(fresh, float64(failed)), append(kept, float64(lost))
	}
	label := fmt.Sprintf("rolling update of %d replicas on %d nodes, 200 requests/s each way", rolledPods, nodes)
	if nodes == 1 {
		label = fmt.Sprintf("rolling update of %d replicas on 1 node, 200 requests/s each way", rolledPods)
	}
	return []figure{
		spread(label+": failed of those on new connections", "", "0", fresh),
		spread(label+": failed of those on kept connections", "", "0", kept),
		spread(label+": until the last old pod is gone", "s", "", took),
	}, nil
}

func (c *cluster) rollOnce(ctx context.Context, name string, round int) error {
	doc := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"round":"%d"}}}}}`, round)
	if _, err := client.For[*appsv1.Deployment](c.client).Patch(ctx, namespace, name, types.MergePatchType, doc); err != nil {
		return err
	}
	return c.awaitRolled(ctx, name)
}

// awaitRolled waits until all pods are of the newest template, and no other is
// left.
func (c *cluster) awaitRolled(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*podTime)
	defer cancel()
	for {
		d, err := client.For[*appsv1.Deployment](c.client).Get(ctx, namespace, name)
		if err != nil {
			return err
		}
		pods, _, err := client.For[*corev1.Pod](c.client).List(ctx, namespace, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return err
		}
		s := d.Status
		if s.ObservedGeneration == d.Generation && s.UpdatedReplicas == rolledPods && s.AvailableReplicas == rolledPods && len(pods) == rolledPods {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d pods of %s are updated and %d available, with %d there: %w", s.UpdatedReplicas, rolledPods, name, s.AvailableReplicas, len(pods), err)
		}
	}
}
