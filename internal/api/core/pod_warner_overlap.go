package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// file is a path in a volume and what writes it; source is empty where the
// whole volume is one source.
type file struct{ path, source string }

func (f file) String() string {
	if f.source == "" {
		return fmt.Sprintf("%q", f.path)
	}
	return fmt.Sprintf("%q (%s)", f.path, f.source)
}

// overlaps warns of files of one volume that take each other's place.
func (w *podWarner) overlaps() {
	for i := range w.spec.Volumes {
		v := &w.spec.Volumes[i]
		switch {
		case v.ConfigMap != nil:
			w.overlap(v.Name, fmt.Sprintf("ConfigMap %q", v.ConfigMap.Name), keyFiles(v.ConfigMap.Items, ""))
		case v.Secret != nil:
			w.overlap(v.Name, fmt.Sprintf("Secret %q", v.Secret.SecretName), keyFiles(v.Secret.Items, ""))
		case v.DownwardAPI != nil:
			w.overlap(v.Name, "DownwardAPI", downwardFiles(v.DownwardAPI.Items, ""))
		case v.Projected != nil:
			var all []file
			for j := range v.Projected.Sources {
				s := &v.Projected.Sources[j]
				if *s == (corev1.VolumeProjection{}) {
					w.add("volume %q (Projected) has no sources provided", v.Name)
				}
				all = append(all, projectedFiles(s)...)
			}
			w.overlap(v.Name, "Projected", all)
		}
	}
}

func (w *podWarner) overlap(volume, of string, files []file) {
	for i := range files {
		is := files[i]
		is.path = strings.TrimRight(is.path, "/")
		files[i] = is
		for _, was := range files[:i] {
			if is.path == "" || was.path == "" {
				continue
			}
			if strings.HasPrefix(was.path+"/", is.path+"/") || strings.HasPrefix(is.path+"/", was.path+"/") {
				w.add("volume %q (%s): overlapping paths: %s with %s", volume, of, is, was)
			}
		}
	}
}

func keyFiles(items []corev1.KeyToPath, source string) []file {
	out := make([]file, 0, len(items))
	for _, item := range items {
		out = append(out, file{item.Path, source})
	}
	return out
}

func downwardFiles(items []corev1.DownwardAPIVolumeFile, source string) []file {
	out := make([]file, 0, len(items))
	for _, item := range items {
		out = append(out, file{item.Path, source})
	}
	return out
}

func projectedFiles(s *corev1.VolumeProjection) []file {
	switch {
	case s.ConfigMap != nil:
		return keyFiles(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))
	case s.Secret != nil:
		return keyFiles(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))
	case s.DownwardAPI != nil:
		return downwardFiles(s.DownwardAPI.Items, "DownwardAPI")
	case s.ServiceAccountToken != nil:
		return []file{{s.ServiceAccountToken.Path, "ServiceAccountToken"}}
	case s.ClusterTrustBundle != nil:
		b := s.ClusterTrustBundle
		name := orEmpty(b.SignerName)
		if b.Name != nil {
			name = *b.Name
		}
		return []file{{b.Path, fmt.Sprintf("ClusterTrustBundle %q", name)}}
	case s.PodCertificate != nil:
		c := s.PodCertificate
		return []file{{c.CertificateChainPath, "PodCertificate chain"}, {c.KeyPath, "PodCertificate key"}, {c.CredentialBundlePath, "PodCertificate credential bundle"}}
	}
	return nil
}
