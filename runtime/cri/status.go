package cri

import (
	"context"
	"net/netip"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
)

// Version names the runtime.
func (s *Service) Version(context.Context, *cri.VersionRequest) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: "knarr-runtime", RuntimeVersion: s.Release, RuntimeApiVersion: "v1"}, nil
}

// Status says whether pods can run.
func (s *Service) Status(context.Context, *cri.StatusRequest) (*cri.StatusResponse, error) {
	network := &cri.RuntimeCondition{Type: "NetworkReady", Status: s.Sandboxes.NetworkReady()}
	if !network.Status {
		network.Reason, network.Message = "NetworkPluginNotReady", "no range of pod addresses is set for this node yet"
	}
	return &cri.StatusResponse{
		Status:          &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{{Type: "RuntimeReady", Status: true}, network}},
		RuntimeHandlers: s.runtimeHandlers(),
		Features:        &cri.RuntimeFeatures{SupplementalGroupsPolicy: true},
	}, nil
}

// runtimeHandlers are what a RuntimeClass may name, and what each can do.
func (s *Service) runtimeHandlers() []*cri.RuntimeHandler {
	var out []*cri.RuntimeHandler
	for _, name := range s.Builtin {
		out = append(out, &cri.RuntimeHandler{Name: name, Features: &cri.RuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: true, UserNamespaces: s.Host.UserNamespaces}})
	}
	for _, name := range s.Handlers.Names() {
		f := s.Handlers.Get(name).Features()
		out = append(out, &cri.RuntimeHandler{Name: name, Features: &cri.RuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: f.RecursiveReadonly, UserNamespaces: f.UserNamespaces}})
	}
	return out
}

// RuntimeConfig tells the agent how cgroups are managed.
func (s *Service) RuntimeConfig(context.Context, *cri.RuntimeConfigRequest) (*cri.RuntimeConfigResponse, error) {
	return &cri.RuntimeConfigResponse{Linux: &cri.LinuxRuntimeConfiguration{CgroupDriver: cri.CgroupDriver_CGROUPFS}}, nil
}

// UpdateRuntimeConfig sets the range of pod addresses: the first IPv4 one of the list.
func (s *Service) UpdateRuntimeConfig(_ context.Context, r *cri.UpdateRuntimeConfigRequest) (*cri.UpdateRuntimeConfigResponse, error) {
	for _, text := range strings.Split(r.GetRuntimeConfig().GetNetworkConfig().GetPodCidr(), ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, toStatus(fault.New(fault.Invalid, "pod range %q: %w", text, err))
		}
		if !cidr.Addr().Is4() {
			continue
		}
		if err := s.Sandboxes.SetRange(cidr); err != nil {
			return nil, toStatus(err)
		}
		break
	}
	return &cri.UpdateRuntimeConfigResponse{}, nil
}
