package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/runtime/image"
	"writ/runtime/pressure"
	"writ/state"
)

// ImageGC is when images that nothing uses are removed: kubelet's imageGCHighThresholdPercent,
// imageGCLowThresholdPercent, imageMinimumGCAge and imageMaximumGCAge.
type ImageGC struct {
	// High is how full the disk of the images may be, in percent, before images go; 85 by
	// default, 100 for never. Low is where that stops, 80 by default.
	High, Low int
	// MinAge spares images that came later, 2 minutes by default. MaxAge removes images that
	// nothing used for longer, also on an empty disk; 0 for never.
	MinAge, MaxAge time.Duration
}

const imageGCPeriod = time.Minute

func (g *ImageGC) fill() {
	if g.High == 0 {
		g.High = 85
	}
	if g.Low == 0 {
		g.Low = min(80, g.High)
	}
	if g.MinAge == 0 {
		g.MinAge = 2 * time.Minute
	}
}

func (g *ImageGC) validate() error {
	filled := *g
	filled.fill()
	switch {
	case filled.High < 0 || filled.High > 100 || filled.Low < 0:
		return fmt.Errorf("runtime: images go at %d%% of the disk down to %d%%: percentages are 0 to 100", filled.High, filled.Low)
	case filled.Low > filled.High:
		return fmt.Errorf("runtime: images go down to %d%% of the disk, which is above the %d%% where that begins", filled.Low, filled.High)
	case filled.MinAge < 0 || filled.MaxAge < 0:
		return fmt.Errorf("runtime: the ages of images are %v and %v, they must not be negative", filled.MinAge, filled.MaxAge)
	case filled.MaxAge > 0 && filled.MaxAge < filled.MinAge:
		return fmt.Errorf("runtime: the maximum age of unused images is %v, below the minimum of %v", filled.MaxAge, filled.MinAge)
	}
	return nil
}

// collectImages removes unused images as kubelet does until ctx ends.
func (r *Runtime) collectImages(ctx context.Context) {
	began, failed := time.Now(), false
	tick := time.NewTicker(imageGCPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			levels, err := (&guarded{r}).Levels()
			if err == nil {
				err = r.collect(levels[pressure.ImageFsAvailable], now, began)
			}
			if err != nil {
				r.log.Warn("images are not collected", "err", err)
				if failed { // once may be for want of a measurement, as with kubelet
					r.nodeEvent(corev1.EventTypeWarning, "ImageGCFailed", "%v", err)
				}
			}
			failed = err != nil
		}
	}
}

// collect is one look, at the disk of the images: what is too old goes, and then what is needed to get below the low threshold.
func (r *Runtime) collect(d pressure.Level, now, began time.Time) error {
	gc, uses := r.cfg.ImageGC, r.imageUses()
	for _, l := range r.images.List() {
		if uses(&l) != "" {
			r.images.Use(l.ID)
		}
	}
	if gc.MaxAge > 0 && now.Sub(began) > gc.MaxAge {
		keep := func(l *image.Listed) string {
			if now.Sub(l.Last()) <= gc.MaxAge {
				return "used lately"
			}
			return uses(l)
		}
		if _, err := r.images.Reclaim(image.Reclaim{Keep: keep}); err != nil {
			return err
		}
	}
	need := gc.need(d)
	if need <= 0 {
		return nil
	}
	freed, err := r.ReclaimImages(need)
	if err != nil {
		return err
	}
	if freed < need {
		text := fmt.Sprintf("Insufficient free disk space on the node's image filesystem (%d%% of %s used). "+
			"Failed to free sufficient space by deleting unused images (freed %d bytes). "+
			"Investigate disk usage, as it could be used by active images, logs, volumes, or other data.", percentUsed(d), formatBytes(d.Capacity), freed)
		r.nodeEvent(corev1.EventTypeWarning, "FreeDiskSpaceFailed", "%s", text)
		return errors.New(text)
	}
	return nil
}

// percentUsed is how full a disk is as kubelet rounds it; one that could not be measured is empty.
func percentUsed(d pressure.Level) int {
	if d.Capacity <= 0 {
		return 0
	}
	return 100 - int(min(d.Available, d.Capacity)*100/d.Capacity)
}

// need is how many bytes images have to give back; not positive while the disk is below the high threshold.
func (g *ImageGC) need(d pressure.Level) int64 {
	if g.High >= 100 || percentUsed(d) < g.High {
		return 0
	}
	return d.Capacity*int64(100-g.Low)/100 - d.Available
}

// ReclaimImages removes images that no Pod of this node uses or is about to, that no file of the archive
// folder and neither the adopted nor the previous commit names, those that were out of use for longest first,
// until need bytes are free; every such image where need is not positive. It gives the bytes that it freed. It
// is what comes after dead containers and old logs, and before a Pod is evicted.
func (r *Runtime) ReclaimImages(need int64) (int64, error) {
	out, err := r.images.Reclaim(image.Reclaim{Need: need, Before: time.Now().Add(-r.cfg.ImageGC.MinAge), Keep: r.imageUses()})
	return out.Bytes, err
}

// imageUses says by whom an image is used: a container that is there, dead ones too, or a Pod of this
// node that names it. It is empty for nobody. A Pod that has ended for good needs no image any more.
func (r *Runtime) imageUses() func(l *image.Listed) string {
	by := map[string]string{}
	for rec := range r.view().Pods() {
		if s := rec.PodStatus(); s != nil && (&Snapshot{Status: s}).over() {
			continue
		}
		for _, ref := range manifest.Images(&rec.Pod().Spec) {
			if img, ok := r.images.Resolve(ref); ok {
				by[img.ID] = "pod " + rec.Ref.Namespace + "/" + rec.Ref.Name
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		if s := w.shown.Load(); s != nil && !s.over() {
			for _, c := range s.Containers {
				by[c.ImageID] = "pod " + w.ref.Namespace + "/" + w.ref.Name
				by[c.NextImageID] = by[c.ImageID]
			}
		}
	}
	return func(l *image.Listed) string { return by[l.ID] }
}

// Images are the images of this node, and why each stays.
func (r *Runtime) Images() []image.Listed {
	uses := r.imageUses()
	list := r.images.List()
	for i := range list {
		if by := uses(&list[i]); by != "" {
			list[i].Pinned = append([]string{by}, list[i].Pinned...)
		}
	}
	return list
}

// PruneImages removes every image that nothing keeps, however young; with dry only says which.
func (r *Runtime) PruneImages(dry bool) (image.Reclaimed, error) {
	return r.images.Reclaim(image.Reclaim{Keep: r.imageUses(), DryRun: dry})
}

func (r *Runtime) nodeEvent(kind, reason, format string, args ...any) {
	now := time.Now()
	r.record(state.Event{
		Ref: manifest.NodeRef(string(r.cfg.Node)), Type: kind, Reason: reason, Message: fmt.Sprintf(format, args...),
		Component: "kubelet", Count: 1, First: now, Last: now,
	})
}

// formatBytes writes a size as kubelet does in this event.
func formatBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	div, exp := int64(unit), 0
	for v := n / unit; v >= unit; v /= unit {
		div *= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", float64(n)/float64(div), "KMGTPE"[exp])
}
