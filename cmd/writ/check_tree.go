package main

import (
	"context"
	"io/fs"
	"slices"

	"writ/manifest"
	"writ/manifest/advice"
	"writ/render"
	gitsync "writ/sync"
)

// tree is what `writ check` reads.
type tree struct {
	*gitsync.Checkout
	loader manifest.Loader
	sealed *unopened // files that are encrypted, where there are no keys
}

func openTree(ctx context.Context, dir string, mayFetch bool, secrets secretConfig, bases baseConfig) (*tree, error) {
	var program string
	if err := beside(&program, rendererName); err != nil {
		return nil, err
	}
	checkout, err := gitsync.OpenCheckout(dir)
	if err != nil {
		return nil, err
	}
	decrypter, sealed, err := secrets.checkDecrypter(ctx, program)
	if err != nil {
		checkout.Close()
		return nil, err
	}
	loader := manifest.Loader{Folder: checkout.Folder(), Renderer: checkRenderer{program, ctx, mayFetch, decrypter, bases}, Decrypter: decrypter, Signing: signing{}}
	return &tree{checkout, loader, sealed}, nil
}

// checkRenderer renders where something has to be rendered; a plain tree needs no second program.
type checkRenderer struct {
	program string
	ctx     context.Context
	fetch   bool // charts and remote bases that were never fetched before
	secrets manifest.Decrypter
	bases   baseConfig
}

func (r checkRenderer) Render(fsys fs.FS, units []manifest.Unit) ([]manifest.Rendering, error) {
	if !isProgram(r.program) {
		return nil, errNoRenderer
	}
	charts, err := checkCharts(r.fetch)
	if err != nil {
		return nil, err
	}
	bases, err := r.bases.check(r.fetch)
	if err != nil {
		return nil, err
	}
	return render.New(r.ctx, render.Config{Program: r.program, Charts: charts, Bases: bases, Decrypter: r.secrets}).Render(fsys, units)
}

// looked is everything that can be told of a tree.
type looked struct {
	files  fs.FS
	report manifest.Report
	notes  manifest.Mistakes
	advice []advised
}

// look reads the work tree. prev saves reading again what is the same there.
func (t *tree) look(ctx context.Context, prev *manifest.Set, advise bool) (*looked, error) {
	files, err := t.Files(ctx)
	if err != nil {
		return nil, err
	}
	l, err := t.lookAt(files, prev, advise)
	if err == nil && l.report.Set != nil && l.report.Set.Len() == 0 && len(l.report.Mistakes) == 0 {
		l.report.Warnings = append(slices.Clip(l.report.Warnings), manifest.Mistake{What: "there is no manifest here: nothing would run"})
	}
	return l, err
}

func (t *tree) lookAt(files fs.FS, prev *manifest.Set, advise bool) (*looked, error) {
	report, err := t.loader.Check(files, prev)
	if err != nil {
		return nil, err
	}
	l := &looked{files: files, report: report, notes: t.sealed.notes()}
	if report.Set == nil {
		return l, nil
	}
	for item := range report.Set.All() {
		l.note(item)
	}
	if advise {
		l.advise()
	}
	return l, nil
}

// note tells what of an object is accepted and not acted on yet.
func (l *looked) note(item manifest.Item) {
	gk := item.Ref.GroupKind()
	switch {
	case manifest.Restricts(gk):
		l.add(item, 0, item.Ref.Kind+" is accepted, but not enforced yet")
	case manifest.IsKnown(gk) && !manifest.Acted(gk):
		l.add(item, 0, item.Ref.Kind+" is accepted, but not acted on yet")
	}
	for _, use := range item.NotYet {
		l.add(item, use.Line, use.Path+": "+use.Reason+"; the object is accepted, but not started")
	}
}

func (l *looked) add(item manifest.Item, line int, what string) {
	m := manifest.Mistake{Source: item.Source, Ref: item.Ref, What: what}
	if line > 0 {
		m.Source.Line = line
	}
	l.notes = append(l.notes, m)
}

// advise adds the advice on the objects that are valid.
func (l *looked) advise() {
	found := advice.Of(l.report.Set)
	places := make([]manifest.Place, len(found))
	for i, f := range found {
		places[i] = manifest.Place{Ref: f.Ref, Field: f.Field}
	}
	for i, source := range l.report.Set.Places(l.files, places) {
		l.advice = append(l.advice, advised{found[i].Rule, found[i].Why, manifest.Mistake{Source: source, Ref: found[i].Ref, What: found[i].What}})
	}
	slices.SortStableFunc(l.advice, func(a, b advised) int { return a.Compare(b.Mistake) })
}
