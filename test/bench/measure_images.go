package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const (
	// The image has 200 MB of files in layers, packed to about half of it.
	imageLayers, layerFiles, fileSize = 4, 500, 100_000
	// pulls is how often it is pulled by each runtime, in turns.
	pulls = 3
)

// measureImages pulls a large image from a registry on this machine, in turns
// with containerd where its programs are given.
func measureImages(ctx context.Context, c *cluster) ([]figure, error) {
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	ref := strings.TrimPrefix(srv.URL, "http://") + "/bench/large:1"
	if err := pushLarge(ctx, ref); err != nil {
		return nil, err
	}
	var other *containerd
	if c.containerd == "" {
		fmt.Fprintln(os.Stderr, "bench: images: containerd is not measured beside, as CONTAINERD= names no folder with its programs")
	} else {
		var err error
		if other, err = c.startContainerd(ctx); err != nil {
			return nil, err
		}
		defer other.stop()
	}
	pids, err := c.processes()
	if err != nil {
		return nil, err
	}
	runtime := map[string]int{"runtime": pids["knarr-runtime"]}
	var own, ownCPU, theirs, theirCPU []float64
	for range pulls {
		took, cpu, err := pulled(runtime, func() error { _, err := c.knarrRun(ctx, "image", "pull", ref); return err })
		if err != nil {
			return nil, err
		}
		own, ownCPU = append(own, took.Seconds()), append(ownCPU, milliseconds(cpu))
		if _, err := c.knarrRun(ctx, "image", "rm", ref); err != nil {
			return nil, err
		}
		if other == nil {
			continue
		}
		if took, cpu, err = pulled(map[string]int{"containerd": other.process.Process.Pid}, func() error { return other.pull(ctx, ref) }); err != nil {
			return nil, err
		}
		theirs, theirCPU = append(theirs, took.Seconds()), append(theirCPU, milliseconds(cpu))
		if err := other.remove(ctx, ref); err != nil {
			return nil, err
		}
	}
	const what = "pull and unpack of an image with 200 MB of files in 4 layers, from a registry on the machine"
	figures := []figure{spread(what, "s", "", own).using(ownCPU, 0)}
	if other != nil {
		figures = append(figures, spread("the same by "+other.version, "s", "", theirs).using(theirCPU, 0))
	}
	return figures, nil
}

// pulled tells how long a pull took, and the CPU time of the runtime meanwhile.
func pulled(runtime map[string]int, pull func() error) (took, cpu time.Duration, err error) {
	before, err := cpuOf(runtime)
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := pull(); err != nil {
		return 0, 0, err
	}
	took = time.Since(start)
	after, err := cpuOf(runtime)
	return took, after - before, err
}

// pushLarge makes the image, the same each time, and pushes it.
func pushLarge(ctx context.Context, ref string) error {
	img := v1.Image(empty.Image)
	for i := range imageLayers {
		data, err := packedLayer(uint64(i))
		if err != nil {
			return err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		if err != nil {
			return err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return err
		}
	}
	to, err := name.ParseReference(ref)
	if err != nil {
		return err
	}
	return remote.Write(to, img, remote.WithContext(ctx))
}

// packedLayer is a gzipped layer of text that packs to half its size.
func packedLayer(seed uint64) ([]byte, error) {
	var out bytes.Buffer
	packed, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(packed)
	source := rand.NewChaCha8([32]byte{byte(seed)})
	raw := make([]byte, fileSize/2)
	for i := range layerFiles {
		if _, err := source.Read(raw); err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("usr/lib/%d/%d/file", seed, i), Mode: 0o644, Size: fileSize, Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, hex.EncodeToString(raw)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err = packed.Close()
	return out.Bytes(), err
}
