package main

import (
	"context"
	"errors"
	"os"
	"time"

	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	cmcontroller "github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/healthz"
)

// lead runs work while this process holds the lease, and returns when it has
// lost it or work has ended.
func lead(ctx context.Context, shared *cmcontroller.Context, namespace string, health *healthz.Server, work func(context.Context) error) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	const lease = "cert-manager-controller"
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, lease, shared.Client.CoreV1(), shared.Client.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: name + "-external-cert-manager-controller", EventRecorder: shared.Recorder})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result := make(chan error, 1)
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Name: lease, Lock: lock, ReleaseOnCancel: true,
		LeaseDuration: time.Minute, RenewDeadline: 40 * time.Second, RetryPeriod: 15 * time.Second,
		WatchDog: health.LeaderHealthzAdaptor,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				result <- work(ctx)
				cancel()
			},
			OnStoppedLeading: cancel,
		},
	})
	select {
	case err := <-result:
		return err
	default:
		return errors.New("the lease is lost")
	}
}
