package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/disk"
	"writ/runtime/image"
	"writ/runtime/oci"
	"writ/runtime/shim"
)

// The image of a volume is pulled as a container's is, under a name that no container can have.
const volumePrefix = "volume/"

// imageOfVolume is what pulls know of the image of a volume; nil if the Pod has no such volume.
func imageOfVolume(spec *corev1.PodSpec, name string) *corev1.Container {
	for i := range spec.Volumes {
		if v := &spec.Volumes[i]; v.Name == name && v.Image != nil {
			return &corev1.Container{Name: volumePrefix + name, Image: v.Image.Reference, ImagePullPolicy: v.Image.PullPolicy}
		}
	}
	return nil
}

// images says whether the image of a container and those of all volumes that it mounts are here; those
// that are not are pulled or waited for.
func (p *Plan) images(d *Desired, o *Observed, c *corev1.Container, oc *Observation, now time.Time) bool {
	ok := p.image(c, oc, now)
	for i := range c.VolumeMounts {
		if v := imageOfVolume(&d.Pod.Spec, c.VolumeMounts[i].Name); v != nil && !p.image(v, o.container(v.Name), now) {
			ok = false
		}
	}
	return ok
}

// withVolumes is what is known of a container for its status: with the image of a volume that it
// waits for in place of its own.
func (oc *Observation) withVolumes(d *Desired, o *Observed, c *corev1.Container) *Observation {
	if oc.Run.Running() || oc.Image.Reason != "" && oc.Image.Image == nil {
		return oc
	}
	for i := range c.VolumeMounts {
		v := o.Containers[volumePrefix+c.VolumeMounts[i].Name]
		if v != nil && v.Image.Reason != "" && v.Image.Image == nil {
			shown := *oc
			shown.Image = v.Image
			return &shown
		}
	}
	return oc
}

// volumeImage keeps the ID of a volume's image beside the volume, for a daemon that finds it mounted.
func (p podPaths) volumeImage(name string) string {
	return filepath.Join(p.data, "image-of-"+name)
}

// layersSuffix is that of where the layers of a volume's image are while it is mounted for users of its own.
const layersSuffix = "-layers"

// mountImage mounts the image of a volume that was pulled.
func (w *worker) mountImage(v *corev1.Volume, target string) error {
	oc := w.o.container(volumePrefix + v.Name)
	img := oc.Image.Image
	if img == nil {
		return fmt.Errorf("image %q of volume %q is not present", v.Image.Reference, v.Name)
	}
	if err := disk.ReplaceUnsynced(w.paths.volumeImage(v.Name), []byte(img.ID)); err != nil {
		return err
	}
	as := image.As{}
	if !oci.HostUsers(w.desired.Pod) {
		users, err := w.r.users.of(w.uid)
		if err != nil {
			return err
		}
		if as.Users, err = os.Open(shim.UserPath(w.paths.run)); err != nil {
			return err
		}
		defer as.Users.Close()
		as.First, as.Stage = users.First, w.paths.volumeImage(v.Name)+layersSuffix
	}
	if err := w.r.images.MountAs(*img, "", "", target, as); err != nil {
		oc.Image.Image = nil // the image may be gone: look for it again
		return fmt.Errorf("mount image %q of volume %q: %w", v.Image.Reference, v.Name, err)
	}
	return nil
}

// findImages takes over the images that an earlier daemon mounted as volumes, so that they stay.
func (w *worker) findImages() {
	for i := range w.desired.Pod.Spec.Volumes {
		v := &w.desired.Pod.Spec.Volumes[i]
		if v.Image == nil || !w.volumeSet().Mounted(v.Name) {
			continue
		}
		id, err := os.ReadFile(w.paths.volumeImage(v.Name))
		if err != nil {
			continue
		}
		w.o.container(volumePrefix + v.Name).Image = Pull{Ref: v.Image.Reference, Image: &image.Image{ID: string(id), Ref: v.Image.Reference}}
	}
}
