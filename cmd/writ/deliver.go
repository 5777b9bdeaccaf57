package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/reconcile/loop"
	noderuntime "writ/runtime"
	"writ/state"
	gitsync "writ/sync"
)

// deliver hands the commits of the mirror to the loop in its own words.
func (n *node) deliver(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-n.mirror.Commits():
			select {
			case <-ctx.Done():
				return nil
			case n.commits <- n.commit(c):
			}
		}
	}
}

func (n *node) commit(c gitsync.Commit) loop.Commit {
	out := loop.Commit{
		Hash: c.Hash, Tree: c.Root, Branch: n.mirror.State().Ref, Subject: c.Subject,
		Author: author(c.Author, c.Email), Committed: c.When, Trailers: c.Trailers, FS: c.Repository,
	}
	if c.Signer != nil {
		out.Verified, out.Signer = time.Now(), c.Signer.Name+" ("+c.Signer.Key+")"
	}
	return out
}

// runtime is the runtime's part of the configuration.
func (c *config) runtime() noderuntime.Config {
	reserved, _ := c.reserved() // Validate has looked at it
	resources, _ := c.resources.resources()
	cfg := noderuntime.Config{
		Node: state.Node(c.node), DataDir: c.dataDir, RunDir: c.runDir, LogDir: c.logDir,
		Shim: c.shim, Version: "v" + kubernetesVersion(), Reserved: reserved,
		Resources: resources, MaxPods: c.resources.pods, PIDsLimit: c.resources.pids,
		ImageGC: c.image.gc(),
	}
	c.eviction.apply(&cfg)
	c.isolation.apply(&cfg)
	if c.logDir == defaultLogDir {
		cfg.LogLinks = "/var/log/containers"
	}
	return cfg
}

func (c *config) reserved() (corev1.ResourceList, error) {
	list := corev1.ResourceList{}
	for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: c.reservedCPU, corev1.ResourceMemory: c.reservedMem} {
		q, err := resource.ParseQuantity(text)
		if err != nil || q.Sign() < 0 {
			return nil, fmt.Errorf("--reserved-%s %q is not a quantity", name, text)
		}
		list[name] = q
	}
	return list, nil
}

// loopback says what is wrong with an address that must not be reached from elsewhere.
func loopback(address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--metrics-listen %s: only a loopback address is allowed", address)
	}
	return nil
}

// restore tells an empty store what runs on this node, so that nothing is stopped or doubled while
// the repository is away. What is restored stands until a commit takes it over or prunes it.
func (n *node) restore(ctx context.Context) error {
	w := n.store.World()
	if w.Adopted().Commit != "" || w.Len() > 0 {
		return nil
	}
	records, err := n.runtime.Restore(ctx)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if len(records) == 0 {
		return nil
	}
	b := state.Batch{Writer: state.WriterReconcile, Base: w.Revision(), Now: time.Now()}
	for _, r := range records {
		b.Puts = append(b.Puts, restored(r))
	}
	if _, err := n.store.Propose(ctx, b); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	n.log.Info("restored from running containers", "objects", len(records))
	return nil
}

// settle takes readiness from the pods whose containers are gone since the store was written: after
// `writ down` or a reboot. Else status and endpoints would speak of them until each is looked at.
func (n *node) settle(ctx context.Context) error {
	w := n.store.World()
	b := state.Batch{Writer: state.NodeWriter(n.name()), Base: w.Revision(), Now: time.Now()}
	for r := range w.OnNode(n.name()) {
		s, ok := r.Status.(*corev1.PodStatus)
		if !ok || s.Phase != corev1.PodRunning {
			continue
		}
		if _, err := os.Stat(filepath.Join(n.cfg.runDir, "pods", string(r.UID))); errors.Is(err, fs.ErrNotExist) {
			b.Puts = append(b.Puts, state.Put{Ref: r.Ref, UID: r.UID, Why: "its containers are gone", Status: unready(s, b.Now)})
		}
	}
	if b.Empty() {
		return nil
	}
	if _, err := n.store.Propose(ctx, b); err != nil {
		return fmt.Errorf("settle statuses: %w", err)
	}
	return nil
}

// unready is a status with nothing ready in it.
func unready(s *corev1.PodStatus, now time.Time) *corev1.PodStatus {
	s = s.DeepCopy()
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if (c.Type == corev1.PodReady || c.Type == corev1.ContainersReady) && c.Status == corev1.ConditionTrue {
			c.Status, c.Reason, c.LastTransitionTime = corev1.ConditionFalse, "ContainersNotReady", metav1.NewTime(now)
			c.Message = "the containers are gone since the node was stopped"
		}
	}
	for i := range s.ContainerStatuses {
		s.ContainerStatuses[i].Ready = false
	}
	return s
}

// restored states a record as it was known before.
func restored(r *state.Record) state.Put {
	p := state.Put{
		Ref: r.Ref, UID: r.UID, Why: "it runs here", Object: r.Object, Origin: r.Origin, Node: r.Node,
		Deletion: r.Deletion, Allocation: r.Allocation, Status: r.Status, Created: r.Created, Generation: r.Generation,
		Annotations: r.Annotations, Controller: r.Controller,
	}
	if p.Origin == state.Authored {
		p.Origin = state.Restored
	}
	return p
}
