package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// How long bytes are sent over one TCP connection, and how often.
const (
	streamTime   = 3 * time.Second
	streamRounds = 3
	streamPort   = 9000
)

// place is a network namespace with an address in it.
type place struct {
	ns      netns.NsHandle
	address string
}

// do runs f on a thread inside; sockets that it opens stay there.
func (p place) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(p.ns); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// measureThroughput sends bytes from pod to pod, and between two namespaces
// that a veth pair joins and nothing else.
func measureThroughput(ctx context.Context, c *cluster) ([]figure, error) {
	var pods [2]place
	for i := range pods {
		name := fmt.Sprintf("stream-%d", i)
		if _, err := c.runPod(ctx, name); err != nil {
			return nil, err
		}
		var err error
		if pods[i], err = c.placeOf(ctx, name); err != nil {
			return nil, err
		}
		defer pods[i].ns.Close()
	}
	plain, err := plainPair()
	if err != nil {
		return nil, err
	}
	defer plain[0].ns.Close()
	defer plain[1].ns.Close()
	var figures []figure
	for _, pair := range []struct {
		name string
		ends [2]place
	}{{"pod to pod on one node", pods}, {"a plain veth pair", plain}} {
		var rates []float64
		for range streamRounds {
			rate, err := stream(ctx, pair.ends[0], pair.ends[1])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", pair.name, err)
			}
			rates = append(rates, rate)
		}
		figures = append(figures, spread("throughput of one TCP connection, "+pair.name, "Gbit/s", "", rates))
	}
	for i := range pods {
		if _, err := c.deletePod(ctx, fmt.Sprintf("stream-%d", i)); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

// placeOf finds a pod's namespace by a process whose cgroup bears its UID.
func (c *cluster) placeOf(ctx context.Context, name string) (place, error) {
	pod, err := client.For[*corev1.Pod](c.client).Get(ctx, namespace, name)
	if err != nil {
		return place{}, err
	}
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return place{}, err
	}
	for _, path := range groups {
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(strings.ReplaceAll(string(data), "_", "-"), string(pod.UID)) {
			continue
		}
		ns, err := netns.GetFromPath(filepath.Join(filepath.Dir(path), "ns", "net"))
		if err != nil {
			return place{}, err
		}
		return place{ns, pod.Status.PodIP}, nil
	}
	return place{}, fmt.Errorf("no process of pod %s was found", name)
}

// plainPair makes two namespaces and a veth pair between them. They go when
// their handles are closed.
func plainPair() (ends [2]place, err error) {
	for i := range ends {
		ends[i].address = fmt.Sprintf("192.0.2.%d", i+1)
		made := make(chan error, 1)
		go func() {
			runtime.LockOSThread()
			ns, err := netns.New()
			ends[i].ns = ns
			made <- err
		}()
		if err := <-made; err != nil {
			return ends, fmt.Errorf("make a network namespace: %w", err)
		}
	}
	err = ends[0].do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "plain"}, PeerName: "plain", PeerNamespace: netlink.NsFd(int(ends[1].ns))})
	})
	for _, e := range ends {
		err = errors.Join(err, e.do(func() error {
			link, err := netlink.LinkByName("plain")
			if err != nil {
				return err
			}
			addr, err := netlink.ParseAddr(e.address + "/24")
			if err != nil {
				return err
			}
			return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
		}))
	}
	return ends, err
}

// stream sends from one place to another and gives the rate in Gbit/s.
func stream(ctx context.Context, from, to place) (float64, error) {
	var listener net.Listener
	err := to.do(func() (err error) {
		listener, err = net.Listen("tcp4", fmt.Sprintf("%s:%d", to.address, streamPort))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	received := make(chan int64, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			received <- 0
			return
		}
		defer conn.Close()
		n, _ := io.Copy(io.Discard, conn) // the count is the result
		received <- n
	}()
	var conn net.Conn
	err = from.do(func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp4", listener.Addr().String())
		return err
	})
	if err != nil {
		return 0, err
	}
	chunk := make([]byte, 128<<10)
	begun := time.Now()
	for time.Since(begun) < streamTime && err == nil && ctx.Err() == nil {
		_, err = conn.Write(chunk)
	}
	if err := errors.Join(err, conn.Close()); err != nil {
		return 0, err
	}
	n := <-received
	return float64(n) * 8 / time.Since(begun).Seconds() / 1e9, ctx.Err()
}
