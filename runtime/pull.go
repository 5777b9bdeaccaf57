package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/image"
	"writ/runtime/oci"
	"writ/state"
)

// pull finds the image of a container, or starts to fetch it. An image that ran in
// this Pod before is not asked for again: it restarts without its registry.
func (w *worker) pull(c *corev1.Container) {
	oc := w.o.container(c.Name)
	policy := c.ImagePullPolicy
	again := oc.Run != nil && oc.Run.Labels[labelImage] == c.Image || oc.Run == nil && oc.Attempts > 0
	if again && policy == corev1.PullAlways {
		policy = corev1.PullIfNotPresent
	}
	was := oc.Image
	oc.Image = Pull{Ref: c.Image}
	if was.Ref == c.Image { // why it failed is told until there is an answer
		oc.Image.Failures, oc.Image.Reason, oc.Image.Message, oc.Image.FailedAt = was.Failures, was.Reason, was.Message, was.FailedAt
	}
	img, found := w.r.images.Resolve(c.Image)
	if found && !image.NeedsPull(policy, img, found) && w.r.images.Allowed(img, w.ref.Namespace) {
		oc.Image = Pull{Ref: c.Image, Image: &img}
		w.r.images.Use(img.ID)
		w.about(c, corev1.EventTypeNormal, "Pulled", "Container image %q already present on machine and can be accessed by the pod", c.Image)
		return
	}
	if err := image.CheckName(c.Image); err != nil {
		w.pulled(c, oc, c.Image, img, err, 0)
		return
	}
	oc.Image.Running = true
	if policy != corev1.PullNever {
		w.about(c, corev1.EventTypeNormal, "Pulling", "Pulling image %q", c.Image)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.pulls[c.Name] = cancel
	access, missing := w.access()
	if len(missing) > 0 {
		w.event(corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
			"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(missing, ", "))
	}
	begun := time.Now()
	name, ref := c.Name, c.Image
	w.task(func() {
		img, err := w.r.images.Ensure(ctx, ref, policy, access)
		canceled := ctx.Err() != nil
		cancel()
		w.post(func() {
			oc := w.o.container(name)
			if oc.Image.Ref != ref || canceled {
				return
			}
			w.pulled(c, oc, ref, img, err, time.Since(begun))
		})
	})
}

func (w *worker) pulled(c *corev1.Container, oc *Observation, ref string, img image.Image, err error, took time.Duration) {
	i := &oc.Image
	i.Running = false
	if err == nil {
		*i = Pull{Ref: ref, Image: &img}
		if img.Unasked {
			w.about(c, corev1.EventTypeWarning, "Failed", "Failed to pull image %q: the registry is unavailable; the image that is here is used", ref)
			return
		}
		took = took.Truncate(time.Millisecond)
		w.about(c, corev1.EventTypeNormal, "Pulled", "Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.", ref, took, took, img.Size)
		return
	}
	i.Failures++
	text := clip(err.Error(), mostPullMessage)
	i.Reason, i.Message, i.FailedAt = image.Reason(err), text, time.Now()
	i.Retry = i.FailedAt.Add(pullRetry(err, i.Failures))
	i.Refused = errors.Is(err, image.ErrUnauthorized) || errors.Is(err, image.ErrNotFound)
	switch {
	case errors.Is(err, image.ErrInvalidName):
		i.Message = fmt.Sprintf("Failed to apply default image tag %q: %s", ref, text)
		w.about(c, corev1.EventTypeWarning, "InspectFailed", "%s", i.Message)
		w.about(c, corev1.EventTypeWarning, "Failed", "Error: %s", i.Reason)
	case errors.Is(err, image.ErrNeverPull):
		i.Message = fmt.Sprintf("Container image %q is not present with pull policy of Never", ref)
		w.about(c, corev1.EventTypeWarning, "ErrImageNeverPull", "%s", i.Message)
		w.about(c, corev1.EventTypeWarning, "Failed", "Error: %s", i.Reason)
	default:
		w.about(c, corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %s", ref, text)
		w.about(c, corev1.EventTypeWarning, "Failed", "Error: %s", i.Reason)
		w.about(c, corev1.EventTypeNormal, "BackOff", "Back-off pulling image %q", ref)
		w.about(c, corev1.EventTypeWarning, "Failed", "Error: ImagePullBackOff")
	}
}

// mostPullMessage bounds what is told of a pull that failed: a registry may answer with anything. It is
// Kubernetes' bound for the message of an event, in bytes.
const mostPullMessage = 1024

// clip shortens a text to so many bytes, between two characters.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("...")], "") + "..."
}

// pullRetry is how long to wait after a pull that failed for the failures-th time in a row. A registry that
// said when to ask again is not asked before. An image that may not be pulled can only be put down by hand,
// which costs nothing to look for.
func pullRetry(err error, failures int) time.Duration {
	delay := max(pullDelay(failures), image.RetryAfter(err))
	if errors.Is(err, image.ErrNeverPull) {
		delay = min(delay, neverRetry)
	}
	return delay
}

// neverRetry is how often it is looked whether an image that may not be pulled was put down.
const neverRetry = 20 * time.Second

// repull tries at once what could not be pulled and may go well now: everything where images were put
// down, and what a registry refused where pull secrets changed.
func (w *worker) repull(refusedOnly bool) {
	w.post(func() {
		for _, c := range w.o.Containers {
			if c.Image.Reason != "" && (c.Image.Refused || !refusedOnly) {
				c.Image.Retry, c.Image.Failures = time.Time{}, 0
			}
		}
	})
}

// ImagesLoaded says that images were put down that Pods may be waiting for.
func (r *Runtime) ImagesLoaded() { r.repull("", false) }

// repull tells the Pods of a namespace, or of all.
func (r *Runtime) repull(namespace string, refusedOnly bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		if namespace == "" || w.ref.Namespace == namespace {
			w.repull(refusedOnly)
		}
	}
}

// pullKeys says that a record is a pull secret.
func pullKeys(rec *state.Record) bool {
	if rec == nil {
		return false
	}
	s, ok := rec.Object.(*corev1.Secret)
	return ok && (s.Type == corev1.SecretTypeDockerConfigJson || s.Type == corev1.SecretTypeDockercfg)
}

// access is on whose behalf the Pod's images are asked for, and which of its secrets are not there.
func (w *worker) access() (a image.Access, missing []string) {
	a.Namespace = w.ref.Namespace
	view := w.r.view()
	for _, ref := range w.pullSecrets(view) {
		if ref.Name == "" {
			continue // a placeholder of templates; kubelet passes over it too
		}
		rec := view.Secret(w.ref.Namespace, ref.Name)
		if rec == nil {
			missing = append(missing, ref.Name)
			continue
		}
		s, ok := rec.Object.(*corev1.Secret)
		if !ok || !pullKeys(rec) {
			continue
		}
		key := corev1.DockerConfigJsonKey
		if s.Type == corev1.SecretTypeDockercfg {
			key = corev1.DockerConfigKey
		}
		if data := oci.SecretData(s)[key]; len(data) > 0 {
			a.Secrets = append(a.Secrets, image.Secret{Name: ref.Name, Data: data})
		}
	}
	return a, missing
}

func (w *worker) pullSecrets(view state.View) []corev1.LocalObjectReference {
	if own := w.desired.Pod.Spec.ImagePullSecrets; len(own) > 0 {
		return own
	}
	name := w.desired.Pod.Spec.ServiceAccountName
	if name == "" {
		name = "default"
	}
	if rec := view.ServiceAccount(w.ref.Namespace, name); rec != nil {
		if a, ok := rec.Object.(*corev1.ServiceAccount); ok {
			return a.ImagePullSecrets
		}
	}
	return nil
}
