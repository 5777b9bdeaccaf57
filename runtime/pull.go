package runtime

import (
	"context"
	"errors"
	"fmt"
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
	failures := 0
	if oc.Image.Ref == c.Image {
		failures = oc.Image.Failures
	}
	oc.Image = Pull{Ref: c.Image, Failures: failures}
	img, found := w.r.images.Resolve(c.Image)
	if found && !image.NeedsPull(policy, img, found) && w.r.images.Allowed(img, w.ref.Namespace) {
		oc.Image.Image = &img
		w.event(corev1.EventTypeNormal, "Pulled", "Container image %q already present on machine", c.Image)
		return
	}
	oc.Image.Running = true
	if policy != corev1.PullNever {
		w.event(corev1.EventTypeNormal, "Pulling", "Pulling image %q", c.Image)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.pulls[c.Name] = cancel
	access, begun := w.access(), time.Now()
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
			w.pulled(oc, ref, img, err, time.Since(begun))
		})
	})
}

func (w *worker) pulled(oc *Observation, ref string, img image.Image, err error, took time.Duration) {
	i := &oc.Image
	i.Running = false
	if err == nil {
		*i = Pull{Ref: ref, Image: &img}
		took = took.Round(time.Millisecond)
		w.event(corev1.EventTypeNormal, "Pulled", "Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.", ref, took, took, img.Size)
		return
	}
	i.Failures++
	i.Reason, i.Message, i.FailedAt = image.Reason(err), err.Error(), time.Now()
	i.Retry = i.FailedAt.Add(pullDelay(i.Failures))
	switch {
	case errors.Is(err, image.ErrInvalidName):
		i.Message = fmt.Sprintf("Failed to apply default image tag %q: %v", ref, err)
		w.event(corev1.EventTypeWarning, "InspectFailed", "%s", i.Message)
	case errors.Is(err, image.ErrNeverPull):
		i.Message = fmt.Sprintf("Container image %q is not present with pull policy of Never", ref)
		w.event(corev1.EventTypeWarning, "ErrImageNeverPull", "%s", i.Message)
	default:
		w.event(corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %v", ref, err)
	}
	w.event(corev1.EventTypeWarning, "Failed", "Error: %s", i.Reason)
	w.event(corev1.EventTypeNormal, "BackOff", "Back-off pulling image %q", ref)
}

// access is on whose behalf the Pod's images are asked for.
func (w *worker) access() image.Access {
	a := image.Access{Namespace: w.ref.Namespace}
	view := w.r.view()
	for _, ref := range w.pullSecrets(view) {
		rec := view.Secret(w.ref.Namespace, ref.Name)
		if rec == nil {
			continue
		}
		s, ok := rec.Object.(*corev1.Secret)
		if !ok {
			continue
		}
		data := oci.SecretData(s)
		for _, key := range []string{corev1.DockerConfigJsonKey, corev1.DockerConfigKey} {
			if len(data[key]) > 0 {
				a.Secrets = append(a.Secrets, image.Secret{Name: ref.Name, Data: data[key]})
			}
		}
	}
	return a
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
