package runtime

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/runtime/volume"
	"writ/state"
)

// VolumesDir is where the volumes lie that are folders of a node, by the node's data directory.
func VolumesDir(dataDir string) string { return filepath.Join(dataDir, "volumes") }

// source finds what a claim of the Pod is bound to.
func (w *worker) source(v *corev1.Volume) (volume.Source, error) {
	var none volume.Source
	name := w.ref.Name + "-" + v.Name
	if v.PersistentVolumeClaim != nil {
		name = v.PersistentVolumeClaim.ClaimName
	}
	at := w.ref.Namespace + "/" + name
	claim, found := w.r.view().Claimed(w.ref.Namespace, name)
	switch {
	case claim == nil:
		return none, fmt.Errorf("error processing PVC %s: failed to fetch PVC from API server: persistentvolumeclaims %q not found", at, name)
	case v.Ephemeral != nil && !w.owns(claim):
		return none, fmt.Errorf("error processing PVC %s: PVC %s was not created for pod %s/%s (pod is not owner)", at, at, w.ref.Namespace, w.ref.Name)
	case found == nil:
		return none, fmt.Errorf("error processing PVC %s: PVC is not bound", at)
	case found.Node != "" && found.Node != w.r.cfg.Node:
		return none, fmt.Errorf("error processing PVC %s: its volume %s is on node %s", at, found.Ref.Name, found.Node)
	}
	return volume.Source{Volume: found.Volume(), Folder: found.HasFolder(), Record: func() ([]byte, error) { return encodeRecords(found, claim) }}, nil
}

// owns says that a claim was made for this Pod alone.
func (w *worker) owns(claim *state.Record) bool {
	by := metav1.GetControllerOfNoCopy(claim.Object)
	return by != nil && by.UID == w.uid
}

// volumeChange wakes the Pods whose claim has the volume, or removes what is to go.
func (r *Runtime) volumeChange(ctx context.Context, c *state.Change) {
	if c.New == nil {
		return
	}
	if c.Old != nil && c.Old.Object == c.New.Object && c.Old.Allocation == c.New.Allocation && c.Old.Deletion == c.New.Deletion {
		return // only its status
	}
	if a := c.New.Allocation; a != nil && a.Claim != nil {
		r.refresh(manifest.ClaimRef(a.Claim.Namespace, a.Claim.Name))
	}
	r.volume(ctx, c.New)
}

// removals are the volumes of this node that are being removed.
type removals struct {
	mu    sync.Mutex
	going map[types.UID]bool
	tasks sync.WaitGroup
}

// volume acts on what the World says of a volume whose folder is here: one that is to go is removed, once.
func (r *Runtime) volume(ctx context.Context, rec *state.Record) {
	if rec == nil || rec.Node != r.cfg.Node || rec.Deletion == nil || !rec.HasFolder() || removed(rec) {
		return
	}
	r.removals.mu.Lock()
	defer r.removals.mu.Unlock()
	if r.removals.going == nil {
		r.removals.going = map[types.UID]bool{}
	}
	if r.removals.going[rec.UID] {
		return
	}
	r.removals.going[rec.UID] = true
	r.removals.tasks.Add(1)
	go func() {
		defer r.removals.tasks.Done()
		r.removeVolume(ctx, rec)
		r.removals.mu.Lock()
		defer r.removals.mu.Unlock()
		delete(r.removals.going, rec.UID)
	}()
}

func removed(rec *state.Record) bool {
	s, _ := rec.Status.(*corev1.PersistentVolumeStatus)
	return s != nil && s.Reason == state.VolumeRemoved
}

// removeVolume tries until the folder is gone and that is stated.
func (r *Runtime) removeVolume(ctx context.Context, rec *state.Record) {
	told := ""
	for failures := 1; ; failures++ {
		status := &corev1.PersistentVolumeStatus{Phase: corev1.VolumeReleased, Reason: state.VolumeRemoved}
		err := r.folders().Remove(ctx, rec.Ref.Name)
		if err != nil {
			r.log.Warn("volume is not removed", "volume", rec.Ref.Name, "err", err)
			status = &corev1.PersistentVolumeStatus{Phase: corev1.VolumeFailed, Message: err.Error()}
		}
		if err == nil || err.Error() != told {
			b := state.Batch{Writer: state.NodeWriter(r.cfg.Node), Now: time.Now(), Puts: []state.Put{{Ref: rec.Ref, UID: rec.UID, Status: status, Why: "observed"}}}
			switch _, stated := r.feed.Propose(ctx, b); {
			case stated != nil:
				r.log.Warn("status of a volume is not stated", "volume", rec.Ref.Name, "err", stated)
			case err == nil:
				r.log.Info("volume is removed", "volume", rec.Ref.Name)
				return
			default:
				told = err.Error()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryDelay(failures)):
		}
	}
}

// sweepVolumes ends what an earlier daemon began to remove.
func (r *Runtime) sweepVolumes(ctx context.Context) {
	if err := r.folders().Sweep(); err != nil && ctx.Err() == nil {
		r.log.Warn("volumes that were removed stay in part", "err", err)
	}
}

func (r *Runtime) folders() *volume.Folders {
	return &volume.Folders{Dir: VolumesDir(r.cfg.DataDir), Calls: &r.calls}
}

// restoreVolumes reads what is kept beside the folders of this node: volumes with their claims.
func (r *Runtime) restoreVolumes() []*state.Record {
	found, err := r.folders().Records()
	if err != nil {
		r.log.Warn("volumes are not all known", "err", err)
	}
	var out []*state.Record
	for name, data := range found {
		records, err := decodeKin(data)
		if err != nil || len(records) == 0 || records[0].Ref != manifest.VolumeRef(name) || !records[0].HasFolder() {
			r.log.Warn("what is kept beside a volume is not readable", "volume", name, "err", err)
			continue
		}
		out = append(out, records...)
	}
	return out
}
