// Package images gets the images that containers need onto the node, and
// removes those that nobody needs.
//
// A pull is one call to the runtime per try; back-off between tries belongs
// to the pod worker, the store of images to the runtime. Events and reasons
// have upstream's words, with the registry's own in them.
package images

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/node/cri"
)

// Reasons of waiting for an image.
const (
	ReasonPull        = "ErrImagePull"
	ReasonBackOff     = "ImagePullBackOff"
	ReasonNeverPull   = "ErrImageNeverPull"
	ReasonInvalidName = "InvalidImageName"
	ReasonInspect     = "ImageInspectError"
)

// Failure is why an image could not be had; Reason stands in the container's
// waiting state.
type Failure struct{ Reason, Message string }

func (f *Failure) Error() string { return f.Reason + ": " + f.Message }

// Event tells an event of the container: type, reason, message.
type Event func(kind, reason, message string)

// Request asks for one image.
type Request struct {
	Image   string
	Policy  corev1.PullPolicy
	Keyring *Keyring
	Sandbox *runtimeapi.PodSandboxConfig
	Event   Event
}

// Puller gets images by a runtime. It is safe for concurrent use; at most
// its limit of pulls run at a time.
type Puller struct {
	runtime *cri.Client
	slots   chan struct{}
	// Pulled is told of every pull that succeeded; may be nil. It is set
	// before the first one.
	Pulled  func(size uint64, took time.Duration)
	verify  Verification
	records records
	// node is the file of the node's own credentials; empty for none.
	node      string
	providers providers
}

// NewPuller makes a puller with room for the given number of pulls at a time.
// It keeps in the folder who has proved to have access to which image.
// node is a file of credentials that count for every pod, after the pod's own;
// beside it may lie credential-providers.yaml, whose programs are in the folder
// credential-providers.
func NewPuller(runtime *cri.Client, parallel int, verify Verification, dir, node string) *Puller {
	p := &Puller{node: node, runtime: runtime, slots: make(chan struct{}, max(parallel, 1)), verify: verify, records: records{dir: dir}}
	beside := filepath.Dir(node)
	p.providers.config, p.providers.programs = filepath.Join(beside, "credential-providers.yaml"), filepath.Join(beside, "credential-providers")
	p.providers.cache = map[string]cached{}
	return p
}

// Removed forgets how an image came here that is here no more.
func (p *Puller) Removed(image string) error { return p.records.drop(image) }

// Ensure makes the image present as its policy says and returns it. A
// *Failure says why it could not; other errors are ctx's.
func (p *Puller) Ensure(ctx context.Context, r Request) (*runtimeapi.Image, error) {
	if _, err := name.ParseReference(r.Image); err != nil {
		msg := fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: %v", r.Image, r.Image, err)
		r.Event(corev1.EventTypeWarning, "InspectFailed", msg)
		return nil, &Failure{Reason: ReasonInvalidName, Message: msg}
	}
	present, err := p.runtime.ImageStatus(ctx, r.Image)
	if err != nil {
		msg := fmt.Sprintf("Failed to inspect image %q: %s", r.Image, cri.Message(err))
		r.Event(corev1.EventTypeWarning, "InspectFailed", msg)
		return nil, &Failure{Reason: ReasonInspect, Message: msg}
	}
	again, err := p.mustPull(r, present)
	if err != nil {
		return nil, &Failure{Reason: ReasonInspect, Message: err.Error()}
	}
	switch {
	case again && policyOf(r) == corev1.PullNever:
		msg := fmt.Sprintf("Container image %q is present with pull policy of Never but does not have the proper credentials to be used by the pod", r.Image)
		r.Event(corev1.EventTypeWarning, ReasonNeverPull, msg)
		return nil, &Failure{Reason: ReasonNeverPull, Message: msg}
	case present != nil && policyOf(r) != corev1.PullAlways && !again:
		r.Event(corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", r.Image))
		return present, nil
	case policyOf(r) == corev1.PullNever:
		msg := fmt.Sprintf("Container image %q is not present with pull policy of Never", r.Image)
		r.Event(corev1.EventTypeWarning, ReasonNeverPull, msg)
		return nil, &Failure{Reason: ReasonNeverPull, Message: msg}
	}
	if again {
		present = nil // without access there is no copy to fall back on
	}
	return p.pull(ctx, r, present)
}

// mustPull tells whether the pod has to prove that it may have an image that
// is present.
func (p *Puller) mustPull(r Request, present *runtimeapi.Image) (bool, error) {
	if present == nil || p.verify.Policy == NeverVerify {
		return false, nil
	}
	record, err := p.records.get(present.GetId())
	if err != nil {
		return false, err
	}
	return p.verify.needed(r.Image, record, r.Keyring.Lookup(r.Image)), nil
}

// policyOf is the policy, or the default of a container without one.
func policyOf(r Request) corev1.PullPolicy {
	if r.Policy == "" {
		return corev1.PullIfNotPresent
	}
	return r.Policy
}

func (p *Puller) pull(ctx context.Context, r Request, present *runtimeapi.Image) (*runtimeapi.Image, error) {
	asked := time.Now()
	r.Event(corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", r.Image))
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	began := time.Now()
	ref, with, err := p.tryCredentials(ctx, r)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && present != nil && cri.Code(err) == codes.Unavailable {
		r.Event(corev1.EventTypeNormal, "Pulled",
			fmt.Sprintf("No registry answers for image %q (%s); using the copy already present on machine", r.Image, cri.Message(err)))
		return present, nil
	}
	if err != nil {
		msg := cri.Message(err)
		r.Event(corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %s", r.Image, msg))
		return nil, &Failure{Reason: ReasonPull, Message: msg}
	}
	image, err := p.pulled(ctx, r.Image, ref)
	if err != nil {
		return nil, &Failure{Reason: ReasonInspect, Message: fmt.Sprintf("Failed to inspect image %q: %v", r.Image, err)}
	}
	if p.Pulled != nil {
		p.Pulled(image.GetSize(), time.Since(began))
	}
	if err := p.records.add(image.GetId(), repository(r.Image), with); err != nil {
		return nil, &Failure{Reason: ReasonPull, Message: "note who may have the image: " + err.Error()}
	}
	r.Event(corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.",
		r.Image, time.Since(began).Truncate(time.Millisecond), time.Since(asked).Truncate(time.Millisecond), image.GetSize()))
	return image, nil
}

func (p *Puller) pulled(ctx context.Context, image, ref string) (*runtimeapi.Image, error) {
	for _, key := range []string{ref, image} {
		found, err := p.runtime.ImageStatus(ctx, key)
		if err != nil {
			return nil, err
		}
		if found != nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("the runtime does not know %q, which it has just pulled", ref)
}

// tryCredentials pulls with each of the fitting credentials until one works,
// or without where there are none; with is the one that did.
func (p *Puller) tryCredentials(ctx context.Context, r Request) (ref string, with *Credential, err error) {
	own, err := nodeKeyring(p.node)
	if err != nil {
		return "", nil, err
	}
	list := append(r.Keyring.Lookup(r.Image), own.Lookup(r.Image)...)
	more, err := p.providers.lookup(ctx, r.Image, time.Now())
	if err != nil {
		r.Event(corev1.EventTypeWarning, "CredentialProviderFailed", err.Error())
	}
	list = append(list, more...)
	if len(list) == 0 {
		ref, err = p.runtime.PullImage(ctx, r.Image, nil, r.Sandbox)
		return ref, nil, err
	}
	for i := range list {
		if ref, err = p.runtime.PullImage(ctx, r.Image, list[i].Auth, r.Sandbox); err != nil {
			continue
		}
		if list[i].Source.Name == "" {
			return ref, nil, nil // the node's own: every pod has access
		}
		return ref, &list[i], nil
	}
	return "", nil, err
}
