package main

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"crypto/tls"
)

// starts is how often start-up is measured.
const starts = 5

func measureStart(ctx context.Context, c *cluster) ([]figure, error) {
	var fresh, again, pod []float64
	for range starts {
		if err := c.down(ctx, "--purge"); err != nil {
			return nil, err
		}
		took, err := c.up(ctx)
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, took.Seconds())
		if err := c.importImage(ctx); err != nil {
			return nil, err
		}
		begun := time.Now()
		if _, err := c.runPod(ctx, "first"); err != nil {
			return nil, err
		}
		pod = append(pod, (took + time.Since(begun)).Seconds())
		if err := c.down(ctx); err != nil {
			return nil, err
		}
		if took, err = c.up(ctx); err != nil {
			return nil, err
		}
		again = append(again, took.Seconds())
		if _, err := c.deletePod(ctx, "first"); err != nil {
			return nil, err
		}
	}
	return []figure{
		spread("`knarr up` from nothing: node Ready, default service account, DNS", "s", "1.0", fresh),
		spread("the same with the first pod Ready (image imported meanwhile, not counted)", "s", "", pod),
		spread("`knarr up` on existing data", "s", "0.6", again),
	}, nil
}

// idleTime is how long idle CPU is watched.
const idleTime = 20 * time.Second

func measureIdle(ctx context.Context, c *cluster) ([]figure, error) {
	before, cpu, err := c.idle(ctx)
	if err != nil {
		return nil, err
	}
	const pods = 50
	if err := c.deploy(ctx, "idle", pods); err != nil {
		return nil, err
	}
	after, busy, err := c.idle(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.undeploy(ctx, "idle"); err != nil {
		return nil, err
	}
	return []figure{
		single("memory of everything, idle, no pods: resident", "MiB", "160", before.resident),
		single("the same: anonymous", "MiB", "60", before.anonymous),
		single("the same: proportional (shared pages counted once)", "MiB", "", before.proportional),
		single("more memory per running pod (PSS, 50 pods)", "MiB", "1", (after.proportional-before.proportional)/pods),
		single("idle CPU, no pods", "% of a core", "0.5", cpu),
		single("idle CPU, 50 pods", "% of a core", "1", busy),
	}, nil
}

// idle lets the cluster settle, then watches it.
func (c *cluster) idle(ctx context.Context) (memory, float64, error) {
	pids, err := c.processes()
	if err != nil {
		return memory{}, 0, err
	}
	if err := pause(ctx, 5*time.Second); err != nil {
		return memory{}, 0, err
	}
	before, err := cpuOf(pids)
	if err != nil {
		return memory{}, 0, err
	}
	if err := pause(ctx, idleTime); err != nil {
		return memory{}, 0, err
	}
	after, err := cpuOf(pids)
	if err != nil {
		return memory{}, 0, err
	}
	m, err := memoryOf(pids)
	return m, 100 * (after - before).Seconds() / idleTime.Seconds(), err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func measureRecovery(ctx context.Context, c *cluster) ([]figure, error) {
	var took []float64
	for range 5 {
		pids, err := c.processes()
		if err != nil {
			return nil, err
		}
		if err := syscall.Kill(pids["server"], syscall.SIGKILL); err != nil {
			return nil, err
		}
		start := time.Now()
		if err := c.awaitAPI(ctx); err != nil {
			return nil, err
		}
		took = append(took, milliseconds(time.Since(start)))
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	// Every crash in a row is answered a little later; nothing stays of that.
	if err := c.down(ctx); err != nil {
		return nil, err
	}
	return []figure{spread("recovery from `kill -9` of the server: the API answers", "ms", "500", took)}, nil
}

// awaitAPI asks with a connection of its own each time.
func (c *cluster) awaitAPI(ctx context.Context) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	for range 5000 {
		once := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		res, err := once.Get(config.Host + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the API at %s does not come back", config.Host)
}
