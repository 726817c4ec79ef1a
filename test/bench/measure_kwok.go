package main

import (
	"context"
	"fmt"
)

// What is played beside upstream.
const (
	playedNodes       = 1000
	playedDeployments = 10
	playedReplicas    = 500
	playedRounds      = 3
)

// measureKwok takes pods up and down on nodes that kwok plays, for Knarr and
// for upstream in turns, and then on those that Knarr plays itself.
func measureKwok(ctx context.Context, b *bench) (results, error) {
	ours, err := b.cluster.target()
	if err != nil {
		return nil, err
	}
	var fleets []fleet
	for _, side := range []struct {
		*target
		kubeconfig string
	}{{ours, b.cluster.kubeconfig}, {b.upstream.target(), b.upstream.path("kubeconfig")}} {
		k, err := b.startKwok(ctx, side.target, side.kubeconfig)
		if err != nil {
			return nil, err
		}
		defer k.stop()
		if err := k.nodes(ctx, playedNodes); err != nil {
			return nil, err
		}
		f, err := k.fleet(theirs, playedDeployments, playedReplicas)
		if err != nil {
			return nil, err
		}
		fleets = append(fleets, f)
	}
	label := fmt.Sprintf("%d Deployments of %d pods on %d nodes of kwok's, everything counted: ", playedDeployments, playedReplicas, playedNodes)
	out, err := inTurns(ctx, fleets, label)
	if err != nil {
		return nil, err
	}
	f, err := b.cluster.simulate(ctx, playedNodes, playedDeployments, playedReplicas)
	if err != nil {
		return nil, err
	}
	label = fmt.Sprintf("%d Deployments of %d pods on %d nodes, Knarr's own beside upstream's with kwok: ", playedDeployments, playedReplicas, playedNodes)
	alone, err := inTurns(ctx, []fleet{f}, label)
	if err != nil {
		return nil, err
	}
	for i, same := range out["upstream"] {
		same.Name = alone["knarr"][i].Name
		out["upstream"] = append(out["upstream"], same)
	}
	out["knarr"] = append(out["knarr"], alone["knarr"]...)
	// The nodes of both sides are gone with their control planes.
	return out, b.renew(ctx)
}

// inTurns takes each fleet up and down, round by round.
func inTurns(ctx context.Context, fleets []fleet, label string) (results, error) {
	up, gone := make([]rateOf, len(fleets)), make([]rateOf, len(fleets))
	for range playedRounds {
		for i, f := range fleets {
			if err := up[i].take(ctx, f, f.create); err != nil {
				return nil, err
			}
			if err := gone[i].take(ctx, f, f.clear); err != nil {
				return nil, err
			}
		}
	}
	out := results{}
	for i, f := range fleets {
		held, err := f.memory(ctx)
		if err != nil {
			return nil, err
		}
		out.add(f.target,
			spread(label+"create to all Ready", "pods/s", "", up[i].rates).using(up[i].cpus, 0),
			spread(label+"delete to gone", "pods/s", "", gone[i].rates).using(gone[i].cpus, 0),
			single(label+"resident memory afterwards", "MiB", "", held.resident))
	}
	return out, nil
}
