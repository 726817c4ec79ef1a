package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// Bounds of lives, in seconds.
const (
	minTokenSeconds, maxTokenSeconds             = 10 * 60, 1 << 32
	minCertificateSeconds, maxCertificateSeconds = 3600, 91 * 24 * 3600
	maxKubernetesCertificateSeconds              = 24 * 3600
)

// projection checks one projected volume.
type projection struct {
	at    *field.Path
	taken sets.Set[string]
	errs  field.ErrorList
}

// projected checks every source and that no two of them write one path.
func projected(s *corev1.ProjectedVolumeSource, at *field.Path) field.ErrorList {
	p := projection{at: at, taken: sets.New[string](), errs: fileMode(s.DefaultMode, at.Child("defaultMode"))}
	for i := range s.Sources {
		src, idx := &s.Sources[i], at.Child("sources").Index(i)
		if p.source(src, idx) > 1 {
			p.add(field.Forbidden(idx, "may not specify more than 1 volume type per source"))
		}
	}
	return p.errs
}

func (p *projection) add(errs ...*field.Error) { p.errs = append(p.errs, errs...) }

// take notes a path; shown is what the error shows where it is taken.
func (p *projection) take(path, shown string) {
	if p.taken.Has(path) {
		p.add(field.Invalid(p.at, shown, "conflicting duplicate paths"))
	}
	p.taken.Insert(path)
}

// source checks what is set of a source and tells how much that is.
func (p *projection) source(s *corev1.VolumeProjection, idx *field.Path) (count int) {
	if s.Secret != nil {
		count++
		p.keys(s.Secret.Name, s.Secret.Items, idx.Child("secret"))
	}
	if s.ConfigMap != nil {
		count++
		p.keys(s.ConfigMap.Name, s.ConfigMap.Items, idx.Child("configMap"))
	}
	if s.DownwardAPI != nil {
		count++
		p.add(downwardItems(s.DownwardAPI.Items, idx.Child("downwardAPI"))...)
		for _, item := range s.DownwardAPI.Items {
			if item.Path != "" {
				p.take(item.Path, item.Path)
			}
		}
	}
	if s.ServiceAccountToken != nil {
		count++
		p.token(s.ServiceAccountToken, idx.Child("serviceAccountToken"))
	}
	if s.ClusterTrustBundle != nil {
		count++
		p.bundle(s.ClusterTrustBundle, idx.Child("clusterTrustBundle"))
	}
	if s.PodCertificate != nil {
		count++
		p.certificate(s.PodCertificate, idx.Child("podCertificate"))
	}
	return count
}

func (p *projection) keys(name string, items []corev1.KeyToPath, at *field.Path) {
	p.add(requiredIf(name == "", at.Child("name"))...)
	p.add(keyItems(items, at.Child("items"))...)
	for _, item := range items {
		if item.Path != "" {
			p.take(item.Path, name)
		}
	}
}

// token reports the path of a token below the volume, as upstream does.
func (p *projection) token(t *corev1.ServiceAccountTokenProjection, at *field.Path) {
	seconds := int64(0)
	if t.ExpirationSeconds != nil {
		seconds = *t.ExpirationSeconds
	}
	if seconds < minTokenSeconds {
		p.add(field.Invalid(at.Child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes"))
	}
	if seconds > maxTokenSeconds {
		p.add(field.Invalid(at.Child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if t.Path == "" {
		p.add(field.Required(p.at.Child("path"), ""))
		return
	}
	p.add(localFile(t.Path, p.at.Child("path"))...)
}

// bundle checks trust anchors, by name or by signer (KEP-3257).
func (p *projection) bundle(b *corev1.ClusterTrustBundleProjection, at *field.Path) {
	switch {
	case b.Name != nil && b.SignerName != nil:
		p.add(field.Invalid(at, validate.Shown(b), "only one of name and signerName may be used"))
	case b.Name != nil:
		if *b.Name == "" {
			p.add(field.Required(at.Child("name"), "must be a valid object name"))
		}
		for _, why := range bundleName(*b.Name) {
			p.add(field.Invalid(at.Child("name"), *b.Name, "not a valid clustertrustbundlename: "+why))
		}
		if b.LabelSelector != nil {
			p.add(field.Invalid(at.Child("labelSelector"), b.LabelSelector, "labelSelector must be unset if name is specified"))
		}
	case b.SignerName != nil:
		if *b.SignerName == "" {
			p.add(field.Required(at.Child("signerName"), "must be a valid signer name"))
		}
		p.add(validate.SignerName(*b.SignerName, at.Child("signerName"))...)
		p.add(validate.LabelSelector(b.LabelSelector, at.Child("labelSelector"))...)
	default:
		p.add(field.Required(at, "either name or signerName must be specified"))
	}
	p.add(requiredIf(b.Path == "", at.Child("path"))...)
	p.add(localFile(b.Path, at.Child("path"))...)
	p.take(b.Path, b.Path)
}

// bundleName looks at what stands behind the signer's name.
func bundleName(name string) []string {
	return validate.Subdomain(name[strings.LastIndex(name, ":")+1:], false)
}

// certificate checks a key pair whose certificate a signer gives (KEP-4317).
func (p *projection) certificate(c *corev1.PodCertificateProjection, at *field.Path) {
	p.add(validate.SignerName(c.SignerName, at.Child("signerName"))...)
	p.add(validate.UserAnnotations(c.UserAnnotations, at.Child("userAnnotations"))...)
	types := []string{"RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"}
	if !slices.Contains(types, c.KeyType) {
		p.add(field.NotSupported(at.Child("keyType"), c.KeyType, types))
	}
	p.life(c, at.Child("maxExpirationSeconds"))
	paths := 0
	for _, f := range []struct{ name, path string }{
		{"credentialBundlePath", c.CredentialBundlePath}, {"keyPath", c.KeyPath}, {"certificateChainPath", c.CertificateChainPath},
	} {
		if f.path == "" {
			continue
		}
		paths++
		p.add(localFile(f.path, at.Child(f.name))...)
		p.take(f.path, f.path)
	}
	if paths == 0 {
		p.add(field.Required(at, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"))
	}
}

func (p *projection) life(c *corev1.PodCertificateProjection, at *field.Path) {
	if c.MaxExpirationSeconds == nil {
		return
	}
	n, most := *c.MaxExpirationSeconds, int32(maxCertificateSeconds)
	if host, _, _ := strings.Cut(c.SignerName, "/"); host == "kubernetes.io" || strings.HasSuffix(host, ".kubernetes.io") {
		most = maxKubernetesCertificateSeconds
	}
	if n < minCertificateSeconds {
		p.add(field.Invalid(at, n, "if provided, maxExpirationSeconds must be >= 3600"))
	}
	if n > most {
		p.add(field.Invalid(at, n, fmt.Sprintf("if provided, maxExpirationSeconds must be <= %d", most)))
	}
}
