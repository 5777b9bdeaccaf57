package reconcile

import (
	"fmt"
	"time"

	"writ/manifest"
	"writ/state"
)

// Options is what a computation needs to know beside the World.
type Options struct {
	// Node is the name under which the one node registers itself when the commit declares no Node;
	// empty: none does.
	Node string
	// OS and Arch are its labels, as in Go's names ("linux", "amd64").
	OS, Arch string
	// RootCA is the certificate of the cluster's authority (PEM), which every namespace shows in
	// kube-root-ca.crt; empty leaves what is there.
	RootCA string
	// Volumes is the folder that a node keeps the folders of volumes in, as PersistentVolumes show it.
	Volumes string
	// ConfigKey is the key of the digests of configuration that show in templates. It is kept for the life of the
	// cluster; another one rolls nothing.
	ConfigKey []byte
	// EndedPods is how many Pods that have ended are kept, 0 for DefaultEndedPods, negative for all.
	EndedPods int
	// Set is that of the adopted commit, from which a declared Pod that was lost is made again. Nil
	// while it is not known: such Pods wait.
	Set *manifest.Set
}

// rounds bounds how often one key may be computed in one Plan; more means that concerns disagree.
const rounds = 64

// Compute plans everything for a World. Before the first adoption there is nothing to do.
func Compute(w *state.World, now time.Time, o Options) (Plan, error) {
	d := newDraft(w, now, o)
	d.depends = newDependents(w)
	if w.Adopted().Commit == "" {
		return d.plan(), nil
	}
	d.addAll()
	return d.run()
}

// addAll queues every key there is.
func (d *draft) addAll() {
	d.queue.add(Key{Concern: builtins})
	d.queue.add(Key{Concern: registration})
	d.queue.add(Key{Concern: placement})
	d.queue.add(Key{Concern: drains})
	for r := range d.w.Records() {
		keysFor(r.Ref, d.queue.add)
	}
}

// run computes until no key is left.
func (d *draft) run() (Plan, error) {
	times := map[Key]int{}
	for d.err == nil {
		k, ok := d.queue.next()
		if !ok {
			break
		}
		if times[k]++; times[k] > rounds {
			return Plan{}, fmt.Errorf("compute %s: no end after %d rounds", k, rounds)
		}
		d.current = k
		delete(d.wakes, k)
		delete(d.notes, k)
		d.compute(k)
	}
	if d.err != nil {
		return Plan{}, d.err
	}
	p := d.plan()
	p.computed = times
	return p, nil
}

func (d *draft) compute(k Key) {
	switch k.Concern {
	case builtins:
		d.builtins(k.Ref)
	case registration:
		d.registration()
	case placement:
		d.placement()
	case drains:
		d.drains()
	case allocation:
		if k.Ref.Kind == "" {
			d.starved()
			return
		}
		fallthrough
	default:
		if r := d.w.Get(k.Ref); r != nil {
			d.computeRecord(k.Concern, r)
		} else if k.Concern == endpoints || k.Concern == mirrors {
			d.removeSlices(k)
		}
	}
}

func (d *draft) computeRecord(c Concern, r *state.Record) {
	switch c {
	case allocation:
		d.allocate(r)
	case autoscaling:
		d.autoscale(r)
	case cronJobs:
		d.cronJob(r)
	case rollout:
		d.rollout(r)
	case statefulSets:
		d.statefulSet(r)
	case daemonSets:
		d.daemonSet(r)
	case jobs:
		d.job(r)
	case replicas:
		d.replicas(r)
	case pods:
		d.pod(r)
	case copies:
		d.copyKept(r)
	case endpoints:
		d.endpoints(r)
	case mirrors:
		d.mirror(r)
	case replicaSetStatus:
		d.replicaSetStatus(r)
	case deploymentStatus:
		d.deploymentStatus(r)
	case statefulSetStatus:
		d.statefulSetStatus(r)
	case daemonSetStatus:
		d.daemonSetStatus(r)
	case budgets:
		d.budget(r)
	case claims:
		d.claim(r)
	case volumes:
		d.volume(r)
	case claimStatus:
		d.claimStatus(r)
	case volumeStatus:
		d.volumeStatus(r)
	case namespaces:
		d.namespace(r)
	case revisions:
		d.revisions(r)
	}
}

// keysFor yields the concerns about an object itself.
func keysFor(ref manifest.Ref, yield func(Key)) {
	for _, c := range workloadConcerns[ref.GroupKind()] {
		yield(Key{c, ref})
	}
	switch ref.Kind {
	case "ControllerRevision":
		yield(Key{revisions, ref})
	case "Namespace":
		yield(Key{builtins, ref})
		yield(Key{namespaces, ref})
	case "Service":
		if ref.Group == "" {
			yield(Key{allocation, ref})
			yield(Key{endpoints, ref})
		}
	case "Endpoints":
		yield(Key{mirrors, ref})
	case "Pod":
		yield(Key{pods, ref})
	case "ConfigMap", "Secret":
		yield(Key{copies, ref})
	case "PersistentVolumeClaim":
		yield(Key{claims, ref})
		yield(Key{claimStatus, ref})
	case "PersistentVolume":
		yield(Key{volumes, ref})
		yield(Key{volumeStatus, ref})
	case "StorageClass":
		yield(Key{Concern: builtins})
	}
}
