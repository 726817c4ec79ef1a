package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/images"
	"github.com/knarr-io/knarr/internal/node/measure"
	"github.com/knarr-io/knarr/internal/node/podstate"
	"github.com/knarr-io/knarr/internal/node/render"
	"github.com/knarr-io/knarr/internal/node/volumes"
)

// backOffShown is how long the state says that a pull failed before it says
// that the next one is put off.
const backOffShown = 2 * time.Second

func (w *Worker) pullImage(a podstate.Action) func() func() {
	ctx, pod := w.starting, w.view.Pod
	c := render.Find(pod, a.Container)
	sandbox := render.Sandbox(w.sandboxInput(pod, 0))
	return func() func() {
		keyring := w.keyring(ctx, pod)
		began := time.Now()
		image, err := w.deps.Puller.Ensure(ctx, images.Request{
			Image: c.Image, Policy: c.ImagePullPolicy, Keyring: keyring, Sandbox: sandbox,
			Event: func(kind, reason, message string) { w.deps.containerEvent(pod, c.Name, kind, reason, message) },
		})
		return func() {
			if ended := time.Now(); !w.status.counted && ended.Sub(began) >= time.Millisecond {
				w.pulled = append(w.pulled, measure.Span{From: began, To: ended})
			}
			if now := render.Find(w.view.Pod, c.Name); now == nil || now.Image != c.Image {
				return // it has another by now, which is pulled next
			}
			var failure *images.Failure
			switch {
			case err == nil:
				w.view.Images[c.Name] = image.GetId()
				w.users[c.Name] = imageUser(image.GetUid().GetValue(), image.GetUid() != nil, image.GetUsername())
				w.forgetPull(c.Name)
			case errors.As(err, &failure):
				w.pullFailed(pod, c, c.Image, failure)
			}
		}
	}
}

func imageUser(uid int64, numeric bool, name string) render.ImageUser {
	u := render.ImageUser{Name: name}
	if numeric {
		u.UID = &uid
	}
	return u
}

// forgetImages drops what is known of the images of containers that have
// others now: the new ones are pulled without delay.
func (w *Worker) forgetImages(old, pod *corev1.Pod) {
	for c := range render.Containers(pod) {
		if before := render.Find(old, c.Name); before == nil || before.Image == c.Image {
			continue
		}
		delete(w.view.Images, c.Name)
		w.forgetPull(c.Name)
	}
}

// forgetPull forgets the back-off of a container's pulls. It takes back what
// the state said of the image, and leaves other reasons to wait.
func (w *Worker) forgetPull(container string) {
	delete(w.view.NotBefore, container)
	delete(w.pulls, container)
	delete(w.pullRetry, container)
	switch w.view.Waiting[container].Reason {
	case images.ReasonPull, images.ReasonBackOff, images.ReasonNeverPull, images.ReasonInvalidName, images.ReasonInspect:
		delete(w.view.Waiting, container)
	}
}

// pullFailed has a container wait for an image: its own, or that of a volume.
func (w *Worker) pullFailed(pod *corev1.Pod, c *corev1.Container, image string, f *images.Failure) {
	w.view.Waiting[c.Name] = podstate.Waiting{Reason: f.Reason, Message: f.Message}
	w.deps.containerEvent(pod, c.Name, corev1.EventTypeWarning, "Failed", "Error: "+f.Reason)
	delay := podstate.FirstDelay
	if f.Reason == images.ReasonPull {
		delay = min(max(2*w.pulls[c.Name], podstate.FirstDelay), podstate.MaxDelay)
		w.pulls[c.Name] = delay
		time.AfterFunc(backOffShown, func() { w.post(func() { w.showBackOff(pod, c, image, f) }) })
	}
	w.pullRetry[c.Name] = time.Now().Add(delay)
	w.view.NotBefore[c.Name] = w.pullRetry[c.Name]
}

func (w *Worker) showBackOff(pod *corev1.Pod, c *corev1.Container, image string, f *images.Failure) {
	if w.view.Waiting[c.Name].Reason != images.ReasonPull {
		return
	}
	words := fmt.Sprintf("Back-off pulling image %q", image)
	w.view.Waiting[c.Name] = podstate.Waiting{Reason: images.ReasonBackOff, Message: words + ": " + f.Error()}
	w.deps.containerEvent(pod, c.Name, corev1.EventTypeNormal, "BackOff", words)
	w.deps.containerEvent(pod, c.Name, corev1.EventTypeWarning, "Failed", "Error: "+images.ReasonBackOff)
}

// keyring reads the pod's image pull secrets. One that is missing is told and
// done without, as the image may be public.
func (w *Worker) keyring(ctx context.Context, pod *corev1.Pod) *images.Keyring {
	var secrets []*corev1.Secret
	for _, ref := range pod.Spec.ImagePullSecrets {
		s, err := client.For[*corev1.Secret](w.deps.Client).Get(ctx, pod.Namespace, ref.Name)
		switch {
		case err == nil:
			secrets = append(secrets, s)
		case apierrors.IsNotFound(err):
			w.deps.podEvent(pod, corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
				fmt.Sprintf("Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", ref.Name))
		default:
			w.logger.Warn("image pull secret is not readable", "secret", ref.Name, "error", err)
		}
	}
	k, err := images.NewKeyring(secrets)
	if err != nil {
		w.logger.Warn("image pull secrets are not all usable", "error", err)
	}
	return k
}

// pullVolumes makes the images present that the pod mounts as volumes.
func (w *Worker) pullVolumes(ctx context.Context, pod *corev1.Pod) error {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Image == nil || v.Image.Reference == "" {
			continue
		}
		_, err := w.deps.Puller.Ensure(ctx, images.Request{
			Image: v.Image.Reference, Policy: v.Image.PullPolicy, Keyring: w.keyring(ctx, pod),
			Sandbox: render.Sandbox(w.sandboxInput(pod, 0)),
			Event:   func(kind, reason, message string) { w.deps.podEvent(pod, kind, reason, message) },
		})
		if err != nil {
			return &volumes.Error{Volume: v.Name, Err: err}
		}
	}
	return nil
}

// volumePullFailed has the containers wait that mount the volume, and tells
// whether the cause is its image.
func (w *Worker) volumePullFailed(pod *corev1.Pod, err error) bool {
	var failed *volumes.Error
	var failure *images.Failure
	if !errors.As(err, &failed) || !errors.As(err, &failure) {
		return false
	}
	at := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == failed.Volume })
	for c := range render.Containers(pod) {
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == failed.Volume }) {
			w.pullFailed(pod, c, pod.Spec.Volumes[at].Image.Reference, failure)
			w.view.NotBefore[""] = w.pullRetry[c.Name]
		}
	}
	return true
}

// forgetVolumePulls ends what failed pulls of volumes' images left.
func (w *Worker) forgetVolumePulls(pod *corev1.Pod) {
	for c := range render.Containers(pod) {
		w.forgetPull(c.Name)
	}
}
