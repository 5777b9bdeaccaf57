package main

import (
	"context"
	"errors"
	"io/fs"
	"regexp"

	"writ/manifest"
	gitsync "writ/sync"
)

// baseline is the commit that a branch left, looked at as the work tree is.
type baseline struct {
	rev  string
	base gitsync.Base
	*looked
}

// baseline finds and reads it.
func (t *tree) baseline(ctx context.Context, rev string, advise bool) (*baseline, error) {
	base, err := t.Base(ctx, rev)
	if err != nil {
		return nil, err
	}
	l, err := t.lookAt(base.Repository, nil, advise)
	if errors.Is(err, fs.ErrNotExist) {
		l, err = &looked{files: base.Repository}, nil // the folder is new
	}
	return &baseline{rev, base, l}, err
}

// set is what reading the work tree may take over, nil if nothing. It may be called on nil.
func (b *baseline) set() *manifest.Set {
	if b == nil || len(b.report.Mistakes) > 0 {
		return nil
	}
	return b.report.Set
}

// said is a finding without the line, which moves with every change above it.
type said struct {
	ref              manifest.Ref
	path, rule, what string
}

// position is a place in a text about two objects.
var position = regexp.MustCompile(`(\.(?:ya?ml|json)):\d+`)

func saying(m manifest.Mistake, rule string) said {
	s := said{ref: m.Ref, rule: rule, what: position.ReplaceAllString(m.What, "$1")}
	if m.Ref.Name == "" {
		s.path = m.Source.Path // an object may move to another file, and what is none cannot
	}
	return s
}

// fresh are the findings of now that are not among those of before, and how many are.
func fresh[F any](before, now []F, saying func(F) said) (left []F, known int) {
	had := make(map[said]int)
	for _, f := range before {
		had[saying(f)]++
	}
	for _, f := range now {
		if had[saying(f)] > 0 {
			had[saying(f)]--
			known++
			continue
		}
		left = append(left, f)
	}
	return left, known
}

// compare leaves what the branch introduces, and adds what merging it would do.
func (c *checked) compare(before *baseline, now *looked) {
	plain := func(m manifest.Mistake) said { return saying(m, "") }
	ruled := func(a advised) said { return saying(a.Mistake, a.Rule) }
	c.Base = &checkedBase{Commit: before.base.Hash, Subject: before.base.Subject, Rev: before.rev}
	k := &c.Base.Known
	c.Mistakes, k.Mistakes = fresh(before.report.Mistakes, c.Mistakes, plain)
	c.Warnings, k.Warnings = fresh(before.report.Warnings, c.Warnings, plain)
	c.Notes, k.Notes = fresh(before.notes, c.Notes, plain)
	c.Advice, k.Advice = fresh(before.advice, c.Advice, ruled)
	if len(before.report.Mistakes) == 0 && now.report.Set != nil {
		c.merge(before, now)
	}
}
