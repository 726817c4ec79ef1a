package test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const volumeName = "docker.io/library/volume:test"

// loadVolume imports an image of one file, of no use but as a volume.
func (n *node) loadVolume() {
	n.t.Helper()
	data, err := layer(member{name: "data/", mode: 0o755, dir: true}, member{name: "data/f", mode: 0o644, body: []byte("of the volume")})
	if err != nil {
		n.t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, data)
	if err != nil {
		n.t.Fatal(err)
	}
	tag, err := name.NewTag("volume:test")
	if err != nil {
		n.t.Fatal(err)
	}
	var archived bytes.Buffer
	if err := tarball.Write(tag, img, &archived); err != nil {
		n.t.Fatal(err)
	}
	if code, body := n.admin("POST", "/v1/images/import", &archived); code != http.StatusOK {
		n.t.Fatalf("import: %d %s", code, body)
	}
}

// Volumes of images outlive the runtime, in containers that run and in those
// that are yet to start, although their image is removed meanwhile; its layers
// go with the next image that is, when nobody uses them.
func TestImageVolumesOutliveTheRuntime(t *testing.T) {
	n := newNode(t)
	n.load()
	before := n.imagesOnDisk()
	n.loadVolume()
	p := n.runPod("volumes", nil)
	whole := func(c *cri.ContainerConfig) {
		c.Mounts = []*cri.Mount{{Image: &cri.ImageSpec{Image: volumeName}, ContainerPath: "/volume"}}
	}
	part := func(c *cri.ContainerConfig) {
		whole(c)
		c.Mounts[0].ImageSubPath = "data"
	}
	runs := p.run("runs", []string{"wait"}, whole)
	made := p.create("made", []string{"cat", "/volume/f"}, part)
	n.must(n.images.RemoveImage(n.ctx(), &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: volumeName}}))
	n.killRuntime()
	n.answers()
	if out, code := n.exec(runs, "cat", "/volume/data/f"); code != 0 || out != "of the volume" {
		t.Errorf("in a container that runs: %d %q", code, out)
	}
	if out, code := n.exec(runs, "write", "/volume/data/f", "x"); code == 0 || !strings.Contains(out, "read-only") {
		t.Errorf("written: %d %q", code, out)
	}
	n.must(n.runtime.StartContainer(n.ctx(), &cri.StartContainerRequest{ContainerId: made}))
	if st := n.ended(made); st.GetExitCode() != 0 || strings.TrimSpace(n.log(made, "stdout")) != "of the volume" {
		t.Errorf("in a container that was yet to start: %v %q", st, n.log(made, "stdout"))
	}
	if got := n.imagesOnDisk(); got == before {
		t.Error("the layers of a volume in use are gone")
	}
	for _, id := range []string{runs, made} {
		n.must(n.runtime.StopContainer(n.ctx(), &cri.StopContainerRequest{ContainerId: id, Timeout: 30}))
		n.must(n.runtime.RemoveContainer(n.ctx(), &cri.RemoveContainerRequest{ContainerId: id}))
	}
	if _, err := n.runtime.CreateContainer(n.ctx(), &cri.CreateContainerRequest{PodSandboxId: p.id, SandboxConfig: p.config, Config: &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "late"}, Image: &cri.ImageSpec{Image: imageName}, Mounts: []*cri.Mount{{Image: &cri.ImageSpec{Image: volumeName}, ContainerPath: "/volume"}}}}); err == nil {
		t.Error("a container was made with a volume whose image is gone")
	}
	n.must(n.images.RemoveImage(n.ctx(), &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: imageName}}))
	if got := n.imagesOnDisk(); got != nothing {
		t.Errorf("left: %s", got)
	}
}
