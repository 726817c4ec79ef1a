package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// registryPort is where the registry listens, on the other side of the
// machine's link: every node reaches it as it reaches the world.
const registryPort = 5000

// mirrored are the hosts whose names the suites use for images.
var mirrored = []string{"registry.k8s.io", "k8s.gcr.io", "gcr.io", "docker.io", "quay.io"}

func mirrorAddress(m *harness.Machine) string {
	return m.OutsideAddress.String() + ":" + strconv.Itoa(registryPort)
}

// registriesFile tells the runtimes of a machine to ask the registry for
// everything.
func registriesFile(m *harness.Machine) []byte {
	type host struct {
		Mirrors []string `json:"mirrors"`
	}
	hosts := map[string]host{}
	for _, name := range mirrored {
		hosts[name] = host{Mirrors: []string{"http://" + mirrorAddress(m)}}
	}
	// Strings in maps can always be encoded.
	text, _ := json.Marshal(map[string]any{"registries": map[string]any{"hosts": hosts}})
	return text
}

// serveImages serves a layout to the machine until it is stopped.
func serveImages(m *harness.Machine, images string) (stop func() error, err error) {
	registry, err := openRegistry(images)
	if err != nil {
		return nil, err
	}
	listener, err := m.ListenOutside("tcp", mirrorAddress(m))
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- registry.serve(listener) }()
	return func() error { return errors.Join(listener.Close(), <-served) }, nil
}
