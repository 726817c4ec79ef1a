package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/client"
)

// How many policies there are, few and four times as many, and how often one
// of them is changed.
var policyCounts = []int{250, 1000}

const policyChanges = 100

// measurePolicies tells how long it takes from the write of a change of one
// policy among many to the kernel's commit of it. All select the one pod.
func measurePolicies(ctx context.Context, c *cluster) ([]figure, error) {
	if _, err := c.runPod(ctx, "judged"); err != nil {
		return nil, err
	}
	var figures []figure
	there := 0
	for _, count := range policyCounts {
		begun := time.Now()
		if err := c.addPolicies(ctx, there, count); err != nil {
			return nil, err
		}
		figures = append(figures, single(fmt.Sprintf("%d network policies that select a pod, from the first write to the kernel, %d there before", count-there, there), "s", "", time.Since(begun).Seconds()))
		there = count
		changed, err := c.changePolicies(ctx, count)
		if err != nil {
			return nil, err
		}
		figures = append(figures, changed)
	}
	if err := client.For[*networkingv1.NetworkPolicy](c.client).DeleteCollection(ctx, namespace, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return nil, fmt.Errorf("delete the policies: %w", err)
	}
	_, err := c.deletePod(ctx, "judged")
	return figures, err
}

// addPolicies makes those from one number to another and waits for the kernel
// to have them all.
func (c *cluster) addPolicies(ctx context.Context, from, to int) error {
	policies := client.For[*networkingv1.NetworkPolicy](c.client)
	for i := from; i < to; i++ {
		if _, err := policies.Create(ctx, policyOf(i)); err != nil {
			return fmt.Errorf("create a policy: %w", err)
		}
	}
	return awaitPolicyChains(ctx, to)
}

// changePolicies changes one policy after another, each when the kernel has
// committed the one before.
func (c *cluster) changePolicies(ctx context.Context, count int) (figure, error) {
	commits, stop, err := watchCommits()
	if err != nil {
		return figure{}, err
	}
	defer stop()
	t, err := c.target()
	if err != nil {
		return figure{}, err
	}
	var took []float64
	_, cpu, err := t.usage(ctx, func(ctx context.Context) error {
		for i := range policyChanges {
			patch := fmt.Sprintf(`{"spec":{"ingress":[{"ports":[{"port":%d}]}]}}`, 10_000+10*count+i) // no port twice: that would change nothing
			begun := time.Now()
			if _, err := client.For[*networkingv1.NetworkPolicy](c.client).Patch(ctx, namespace, policyOf(i).Name, types.MergePatchType, []byte(patch)); err != nil {
				return fmt.Errorf("change a policy: %w", err)
			}
			select {
			case <-commits:
				took = append(took, milliseconds(time.Since(begun)))
			case <-time.After(podTime):
				return fmt.Errorf("the kernel was not told of a changed policy within %s", podTime)
			}
		}
		return nil
	})
	if err != nil {
		return figure{}, err
	}
	f := spread(fmt.Sprintf("change of one of %d network policies, from the write to the kernel", count), "ms", "", took)
	return f.using([]float64{milliseconds(cpu) / policyChanges}, 0), nil
}

func policyOf(i int) *networkingv1.NetworkPolicy {
	port := intstr.FromInt32(int32(i + 1))
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("policy-%d", i)},
		Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{
			Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
			From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"group": fmt.Sprint(i % 50)}}}},
		}}},
	}
}

// awaitPolicyChains waits until the kernel has a chain of every policy.
func awaitPolicyChains(ctx context.Context, count int) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open netlink to nftables: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, podTime)
	defer cancel()
	for look := time.NewTicker(time.Millisecond); ; {
		chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
		if err != nil {
			return fmt.Errorf("list nftables chains: %w", err)
		}
		n := 0
		for _, chain := range chains {
			if strings.HasPrefix(chain.Name, "pi-") {
				n++
			}
		}
		if n >= count {
			look.Stop()
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			look.Stop()
			return fmt.Errorf("the kernel has %d of %d policies after %s", n, count, podTime)
		}
	}
}

// watchCommits tells of every transaction that nftables commits.
func watchCommits() (commits <-chan struct{}, stop func(), err error) {
	const group, newGeneration = unix.NFNLGRP_NFTABLES, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := conn.JoinGroup(group); err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("listen to nftables: %w", err)
	}
	out := make(chan struct{}, policyChanges)
	go func() {
		for {
			messages, err := conn.Receive()
			if err != nil {
				return
			}
			for _, m := range messages {
				if m.Header.Type == newGeneration {
					out <- struct{}{}
				}
			}
		}
	}()
	return out, func() { _ = conn.Close() }, nil
}
