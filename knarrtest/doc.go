// Package knarrtest gives a test a Kubernetes API of its own: a `knarr server
// --api-only` that keeps everything in memory, is ready in a fraction of a
// second and goes with the test. It is meant for the tests of operators, webhooks
// and clients, where etcd and kube-apiserver would be started otherwise.
//
//	func TestMyController(t *testing.T) {
//		server := knarrtest.Run(t)
//		config, err := clientcmd.RESTConfigFromKubeConfig(server.Kubeconfig())
//		...
//	}
//
// Nothing acts on objects: pods stay Pending, volumes and namespaces with
// finalizers wait for the test to take these off, and nobody collects garbage.
// Who asks is authenticated and authorized, and RBAC is on.
//
// Servers are processes of their own and share nothing, so that any number may
// run side by side. They need no root. The program is looked for in the
// environment variable KNARRTEST_BINARY, then in PATH. A server ends with its test,
// and with the test's process however that ends.
//
// The package is a module of its own and imports the standard library only: it
// decides no version of client-go for those who use it.
package knarrtest
