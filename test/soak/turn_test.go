package soak

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// label is on the namespaces of turns.
const label = "soak.knarr.io/turn"

// patience bounds each step of a turn.
const patience = 2 * harness.Patience

// workloads are what a turn makes: pods with every kind of volume, behind a
// Service that a policy guards, and a Job.
const workloads = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {turn: "0"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {key: value}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: busybox:1.35
        command: [sh, -c, "trap 'exit 0' TERM; echo started; nc -ll -p 8080 -e cat & wait"]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {tcpSocket: {port: http}, periodSeconds: 1}
        envFrom: [{secretRef: {name: keys}}]
        volumeMounts:
        - {name: settings, mountPath: /settings}
        - {name: keys, mountPath: /keys}
        - {name: scratch, mountPath: /scratch}
        - {name: memory, mountPath: /memory}
      volumes:
      - {name: settings, configMap: {name: settings}}
      - {name: keys, secret: {secretName: keys}}
      - {name: scratch, emptyDir: {}}
      - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.9.0.0/16]}}]}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: NAMESPACE.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  completions: 2
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers: [{name: once, image: "busybox:1.35", command: [sh, -c, "seq 1000"]}]
`

// turn makes the workloads in a namespace, changes them, and takes them away.
func turn(t *testing.T, n int) {
	t.Helper()
	s := space(t, n)
	s.Apply(t, strings.ReplaceAll(workloads, "NAMESPACE", s.Name))
	s.Rollout(t, "web")
	harness.Await(t, patience, "end of the job", func(ctx context.Context) error {
		job, err := s.API.BatchV1().Jobs(s.Name).Get(ctx, "once", metav1.GetOptions{})
		if err == nil && job.Status.Succeeded < 2 {
			err = errors.New(s.Describe(ctx))
		}
		return err
	})
	write100(t, s)
	papers(t, s)
	pods, err := s.API.CoreV1().Pods(s.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("the pods of the deployment: %v", err)
	}
	s.Exec(t, pods.Items[0].Name, "cat", "/settings/turn")
	s.Logs(t, pods.Items[0].Name)
	s.Kubectl.Run(t, "set", "env", "deployment/web", fmt.Sprintf("TURN=%d", n))
	s.Rollout(t, "web")
	s.Kubectl.Run(t, "scale", "deployment/web", "--replicas=1")
	s.Kubectl.Run(t, "delete", "namespace", s.Name, "--wait=false")
	harness.Await(t, patience, "end of the namespace", func(ctx context.Context) error {
		left, err := leftNamespaces(ctx)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%v is there:\n%s", left, s.Describe(ctx))
		}
		return err
	})
}

// space makes the namespace of a turn.
func space(t *testing.T, n int) *harness.Space {
	t.Helper()
	name := fmt.Sprintf("turn-%d", n)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{label: ""}}}
	if _, err := api.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	harness.Await(t, patience, "default service account", func(ctx context.Context) error {
		_, err := api.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	return &harness.Space{Name: name, Cluster: cluster, API: api, Kubectl: cluster.BuiltIn().In(name)}
}

// leftNamespaces are those of turns that have not gone yet.
func leftNamespaces(ctx context.Context) ([]string, error) {
	all, err := api.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: label})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, ns := range all.Items {
		names = append(names, ns.Name)
	}
	return names, nil
}

// write100 changes a ConfigMap that pods have mounted, so that there is history
// to compact.
func write100(t *testing.T, s *harness.Space) {
	t.Helper()
	settings := s.API.CoreV1().ConfigMaps(s.Name)
	for i := range 100 {
		now, err := settings.Get(t.Context(), "settings", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		now.Data["turn"] = fmt.Sprint(i)
		if _, err := settings.Update(t.Context(), now, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// papers asks for a certificate and a token of ten minutes.
func papers(t *testing.T, s *harness.Space) {
	t.Helper()
	soon := int64(600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &soon}}
	if _, err := s.API.CoreV1().ServiceAccounts(s.Name).CreateToken(t.Context(), "default", request, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	requests := s.API.CertificatesV1().CertificateSigningRequests()
	seconds := int32(soon)
	asked, err := requests.Create(t.Context(), &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name},
		Spec: certificatesv1.CertificateSigningRequestSpec{Request: signingRequest(t), SignerName: certificatesv1.KubeAPIServerClientSignerName,
			ExpirationSeconds: &seconds, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	asked.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Soak"}}
	if _, err := requests.UpdateApproval(t.Context(), s.Name, asked, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Await(t, patience, "certificate", func(ctx context.Context) error {
		now, err := requests.Get(ctx, s.Name, metav1.GetOptions{})
		if err == nil && len(now.Status.Certificate) == 0 {
			err = errors.New("it is not signed")
		}
		return err
	})
	if err := requests.Delete(t.Context(), s.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func signingRequest(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "soak"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})
}
