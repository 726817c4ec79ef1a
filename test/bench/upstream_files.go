package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeFiles makes the key of the service accounts and the one token that all
// clients of upstream's API server use. Both live as long as the run.
func (u *upstream) writeFiles() error {
	u.token = rand.Text()
	if err := os.WriteFile(u.path("tokens"), fmt.Appendf(nil, "%s,bench,bench,system:masters\n", u.token), 0o600); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(u.path("key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// writeKubeconfig is for upstream's controllers and scheduler.
func (u *upstream) writeKubeconfig() error {
	config := clientcmdapi.NewConfig()
	config.Clusters["bench"] = &clientcmdapi.Cluster{Server: u.host, InsecureSkipTLSVerify: true}
	config.AuthInfos["bench"] = &clientcmdapi.AuthInfo{Token: u.token}
	config.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "bench"}
	config.CurrentContext = "bench"
	return clientcmd.WriteToFile(*config, u.path("kubeconfig"))
}
