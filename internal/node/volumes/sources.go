package volumes

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/objects"
	"github.com/knarr-io/knarr/internal/node/render"
)

// sources reads what projected files are made of.
type sources struct {
	m   *Manager
	pod *corev1.Pod
	in  Input
}

func isSet(b *bool) bool { return b != nil && *b }

func modeOf(first, second *int32) fs.FileMode {
	switch {
	case first != nil:
		return fs.FileMode(*first)
	case second != nil:
		return fs.FileMode(*second)
	}
	return 0o644
}

func (s *sources) configMap(ctx context.Context, out Payload, src *corev1.ConfigMapVolumeSource) error {
	cm, err := s.m.objects.ConfigMap(ctx, s.pod.Namespace, src.Name)
	if err != nil {
		return err
	}
	if cm == nil {
		if isSet(src.Optional) {
			return nil
		}
		return fmt.Errorf("configmap %q not found", src.Name)
	}
	data := make(map[string][]byte, len(cm.Data)+len(cm.BinaryData))
	for k, v := range cm.Data {
		data[k] = []byte(v)
	}
	for k, v := range cm.BinaryData {
		data[k] = v
	}
	return pick(out, data, src.Items, src.DefaultMode, isSet(src.Optional), "configmap")
}

func (s *sources) secret(ctx context.Context, out Payload, src *corev1.SecretVolumeSource) error {
	secret, err := s.m.objects.Secret(ctx, s.pod.Namespace, src.SecretName)
	if err != nil {
		return err
	}
	if secret == nil {
		if isSet(src.Optional) {
			return nil
		}
		return fmt.Errorf("secret %q not found", src.SecretName)
	}
	return pick(out, secret.Data, src.Items, src.DefaultMode, isSet(src.Optional), "secret")
}

// pick adds all keys, or those that items name, to the payload.
func pick(out Payload, data map[string][]byte, items []corev1.KeyToPath, mode *int32, optional bool, kind string) error {
	if len(items) == 0 {
		for k, v := range data {
			out[k] = File{Data: v, Mode: modeOf(nil, mode)}
		}
		return nil
	}
	for _, item := range items {
		v, ok := data[item.Key]
		if !ok {
			if optional {
				continue
			}
			return fmt.Errorf("references non-existent %s key: %s", kind, item.Key)
		}
		out[path.Clean(item.Path)] = File{Data: v, Mode: modeOf(item.Mode, mode)}
	}
	return nil
}

func (s *sources) downward(out Payload, items []corev1.DownwardAPIVolumeFile, mode *int32) error {
	for i := range items {
		item := &items[i]
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = render.Field(s.pod, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			value, err = render.Resource(s.pod, nil, item.ResourceFieldRef, s.in.Allocatable)
		}
		if err != nil {
			return err
		}
		out[path.Clean(item.Path)] = File{Data: []byte(value), Mode: modeOf(item.Mode, mode)}
	}
	return nil
}

// projected joins several sources in one volume.
func (s *sources) projected(ctx context.Context, out Payload, src *corev1.ProjectedVolumeSource) error {
	for i := range src.Sources {
		if err := s.projection(ctx, out, &src.Sources[i], src.DefaultMode); err != nil {
			return err
		}
	}
	return nil
}

func (s *sources) projection(ctx context.Context, out Payload, src *corev1.VolumeProjection, mode *int32) error {
	switch {
	case src.ConfigMap != nil:
		return s.configMap(ctx, out, &corev1.ConfigMapVolumeSource{
			LocalObjectReference: src.ConfigMap.LocalObjectReference, Items: src.ConfigMap.Items,
			DefaultMode: mode, Optional: src.ConfigMap.Optional,
		})
	case src.Secret != nil:
		return s.secret(ctx, out, &corev1.SecretVolumeSource{
			SecretName: src.Secret.Name, Items: src.Secret.Items, DefaultMode: mode, Optional: src.Secret.Optional,
		})
	case src.DownwardAPI != nil:
		return s.downward(out, src.DownwardAPI.Items, mode)
	case src.ServiceAccountToken != nil:
		return s.token(ctx, out, src.ServiceAccountToken, mode)
	case src.ClusterTrustBundle != nil:
		return fmt.Errorf("projected volumes from cluster trust bundles are not supported on this node")
	case src.PodCertificate != nil:
		return fmt.Errorf("projected volumes from pod certificates are not supported on this node")
	}
	return nil
}

func (s *sources) token(ctx context.Context, out Payload, src *corev1.ServiceAccountTokenProjection, mode *int32) error {
	token, err := s.m.tokens.get(ctx, s.pod, src)
	if err != nil {
		return fmt.Errorf("failed to fetch token: %w", err)
	}
	f := File{Data: []byte(token), Mode: modeOf(nil, mode)}
	sc := s.pod.Spec.SecurityContext
	user := oneUser(s.pod)
	switch {
	case sc != nil && sc.FSGroup != nil:
		f.Mode = 0o600
	case user != nil:
		f.UID, f.Mode = user, 0o600
	}
	out[path.Clean(src.Path)] = f
	return nil
}

// oneUser is the user that all containers of the pod run as, if there is one.
func oneUser(pod *corev1.Pod) *int64 {
	var user *int64
	for c := range render.Containers(pod) {
		var u *int64
		if pod.Spec.SecurityContext != nil {
			u = pod.Spec.SecurityContext.RunAsUser
		}
		if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
			u = c.SecurityContext.RunAsUser
		}
		if u == nil || (user != nil && *user != *u) {
			return nil
		}
		user = u
	}
	return user
}

// Refs names the objects that the pod's volumes refer to.
func Refs(pod *corev1.Pod) []objects.Ref {
	var out []objects.Ref
	add := func(kind objects.Kind, name string) {
		out = append(out, objects.Ref{Kind: kind, Namespace: pod.Namespace, Name: name})
	}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.ConfigMap != nil:
			add(objects.ConfigMap, v.ConfigMap.Name)
		case v.Secret != nil:
			add(objects.Secret, v.Secret.SecretName)
		case v.Projected != nil:
			for _, p := range v.Projected.Sources {
				if p.ConfigMap != nil {
					add(objects.ConfigMap, p.ConfigMap.Name)
				}
				if p.Secret != nil {
					add(objects.Secret, p.Secret.Name)
				}
			}
		}
	}
	return out
}
