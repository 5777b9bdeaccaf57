package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// file is what one file of the tree holds. It is immutable and is taken over into the next commit as
// long as the file's path and content are the same.
type file struct {
	path     string
	id       string // identity of the content
	objects  []*parsed
	warnings Mistakes
	mistakes Mistakes
	broken   []declared // objects that are there and have mistakes
	unread   bool       // something could not even be identified
	secret   bool       // something in it is encrypted
	size     int        // of the documents as JSON, in bytes

	moreMistakes, moreWarnings int // that were counted only
}

// declared is an object that is known by name only.
type declared struct {
	ref    Ref
	source Source
}

// byteOrderMark is what some editors put at the beginning of a file in UTF-8.
var byteOrderMark = []byte("\xef\xbb\xbf")

// parsed is one object that is defaulted and valid by itself.
type parsed struct {
	Item
	digest  itemDigest
	within  string // field path of the object inside its document: items[2] of a List
	claim   *claim // on pods, nil for what owns none
	pods    *podFacts
	needs   []need
	depends *dependsOn
	local   *parsed // a custom resource written without a namespace, as it is in namespace default
}

// reader makes a file of its content.
type reader struct {
	*file
	veil  *veil    // over what is read now
	clear *locator // in the text of the document that is read now, once it is decrypted
	home  string   // the namespace that is meant when none is written, empty for default
}

// readFile reads every document of a file, with a Decrypter also those that are encrypted. The error is
// ErrUnavailable.
func readFile(d Decrypter, name, id string, data []byte) (*file, error) {
	r := reader{file: &file{path: name, id: id}}
	data = bytes.TrimPrefix(data, byteOrderMark)
	if what := checkText(data); what != "" {
		r.unreadable(0, what)
		return r.file, nil
	}
	var err error
	if path.Ext(name) == ".json" {
		err = r.json(d, data)
	} else {
		err = r.yaml(d, data)
	}
	r.count()
	return r.file, err
}

// count tells of what was counted only.
func (r reader) count() {
	if r.moreMistakes > 0 {
		r.mistakes = append(r.mistakes, Mistake{Source: Source{Path: r.path}, What: fmt.Sprintf("and %d mistakes more", r.moreMistakes)})
	}
	if r.moreWarnings > 0 {
		r.warnings = append(r.warnings, Mistake{Source: Source{Path: r.path}, What: fmt.Sprintf("and %d warnings more", r.moreWarnings)})
	}
}

// unreadable reports something that hides which objects there are.
func (r reader) unreadable(line int, what string) {
	r.unread = true
	r.report(Ref{}, func() int { return line }, what)
}

// report adds a mistake. Beyond a limit they are only counted: each line has to be searched for, so a
// file with a hundred thousand would take minutes.
func (r reader) report(ref Ref, line func() int, what string) {
	if r.counted() {
		return
	}
	r.mistakes = append(r.mistakes, Mistake{Source{r.path, line()}, ref, shorten(r.veil.hide(what))})
}

// counted counts a mistake that is one too many to be told.
func (r reader) counted() bool {
	if len(r.mistakes) < maxMistakesOfFile {
		return false
	}
	r.moreMistakes++
	return true
}

func (r reader) yaml(d Decrypter, data []byte) error {
	chunks := splitYAML(data)
	if len(chunks) > maxDocuments {
		r.unreadable(0, fmt.Sprintf("holds %d documents, at most %d are allowed", len(chunks), maxDocuments))
		return nil
	}
	all, err := parts(d, Encrypted{Path: r.path, Format: "yaml"}, slices.DeleteFunc(chunks, r.tooLong))
	for _, p := range all {
		if r.size > maxExpandedBytes {
			r.unreadable(p.line, fmt.Sprintf("the file's objects are larger than %d MiB", maxExpandedBytes>>20))
			return nil
		}
		if !r.opened(p) {
			continue
		}
		r.under(p.veil).document(p.clear, p.chunk, func(line int) int {
			if p.veil != nil {
				line = 0 // of the clear text, which nobody sees
			}
			return p.line + max(line-1, 0)
		})
	}
	return err
}

// opened reports a document that could not be.
func (r reader) opened(p part) bool {
	r.secret = r.secret || p.veil != nil || p.reason != ""
	if p.reason == "" {
		return true
	}
	r.unreadable((&locator{chunk: p.chunk}).line("sops"), p.reason)
	return false
}

// under is a reader of what came out of an encrypted document.
func (r reader) under(v *veil) reader {
	r.veil = v
	return r
}

// document reads a YAML document whose fields stand where written has them. line tells the line in the
// file of one, from 1 or 0, in the text.
func (r reader) document(text []byte, written chunk, line func(int) int) {
	r.clear = &locator{chunk: chunk{text: text}}
	o := object{reader: r, loc: &locator{chunk: written}}
	data, problems := toJSON(text)
	r.size += len(data)
	if data != nil {
		o.read(data)
	}
	for _, p := range problems {
		r.unread = r.unread || data == nil
		r.report(o.ref, func() int { return line(p.line) }, p.what)
	}
}

// tooLong refuses a document whose mere parsing would take too much memory.
func (r reader) tooLong(c chunk) bool {
	if len(c.text) <= maxDocumentBytes {
		return false
	}
	r.unreadable(c.line+max(firstContent(c.text), 0), fmt.Sprintf("the document is larger than %d MiB; split it", maxDocumentBytes>>20))
	return true
}

func (r reader) json(d Decrypter, data []byte) error {
	chunks, problem := splitJSON(data)
	if problem != nil {
		r.unreadable(problem.line, problem.what)
	}
	all, err := parts(d, Encrypted{Path: r.path, Format: "json"}, slices.DeleteFunc(chunks, r.tooLong))
	for _, p := range all {
		if !r.opened(p) {
			continue
		}
		r.clear = &locator{chunk: chunk{text: p.clear}}
		o := object{reader: r.under(p.veil), loc: &locator{chunk: p.chunk}}
		r.size += len(p.clear)
		o.read(p.clear)
		for _, p := range checkJSON(p.clear) {
			o.misplaced(p)
		}
	}
	return err
}

// object is one object of a file while it is being read.
type object struct {
	reader
	loc    *locator
	within string // field path inside the document
	lists  int    // that the object is in
	ref    Ref
	failed bool
}

// mistake reports a problem of the object at the line of its field.
func (o *object) mistake(p problem) {
	if o.counted() {
		o.failed = true
		return
	}
	if o.unknown(p.path) {
		return
	}
	o.failed = true
	p.what = o.veil.hide(p.what)
	o.reader.under(nil).report(o.ref, func() int { return o.line(p.path) }, p.String())
}

// shorten cuts a text that is too long for people.
func shorten(text string) string {
	if len(text) <= maxMistakeBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxMistakeBytes], "") + " ..."
}

func (o *object) warn(p problem) {
	if len(o.warnings) >= maxMistakesOfFile {
		o.moreWarnings++
		return
	}
	if o.unknown(p.path) {
		return
	}
	p.what = o.veil.hide(p.what)
	o.warnings = append(o.warnings, Mistake{Source{o.path, o.line(p.path)}, o.ref, shorten(p.String())})
}

// line is that of a field of the object.
func (o *object) line(field string) int {
	if o.within == "" && field == "" {
		return o.loc.begin()
	}
	return o.loc.line(o.within + "." + o.written(o.loc, field))
}

// written is where a field is written: what becomes data of a Secret may be written as stringData.
func (o *object) written(in *locator, field string) string {
	if rest, found := strings.CutPrefix(field, "data["); found && o.ref.Kind == "Secret" && in.node(o.within+"."+field) == nil {
		return "stringData[" + rest
	}
	return field
}

// read takes up the object that data, JSON, holds, or the objects of a List.
func (o *object) read(data []byte) {
	if string(bytes.TrimSpace(data)) == "null" {
		return
	}
	if n := nesting(data); n > maxNesting {
		o.reader.unreadable(o.line(""), fmt.Sprintf("is nested %d levels deep, at most %d are allowed", n, maxNesting))
		return
	}
	h, problems := readHead(data)
	if h != nil {
		if _, encrypted := h.fields["sops"]; encrypted {
			o.unread = true
			o.ref = h.ref
			o.mistake(problem{"sops", o.locked()})
			return
		}
		o.ref = h.ref
	}
	if h != nil && o.nameless(h) {
		o.unread = true
		return
	}
	for _, p := range problems {
		o.unread = true
		o.mistake(p)
	}
	if h == nil || len(problems) > 0 {
		return
	}
	if h.local {
		return
	}
	if items, isList, err := h.items(); isList {
		o.list(items, err)
		return
	}
	o.one(h, len(data))
}

// locked says why an encrypted object was not opened.
func (o *object) locked() string {
	if o.lists > 0 {
		return "is encrypted with SOPS inside a list; SOPS encrypts whole files"
	}
	return "is encrypted with SOPS, and this node has no keys (--decryption-keys)"
}

// nameless tells whether what identifies the object is encrypted and nobody has the key.
func (o *object) nameless(h *head) bool {
	unknown := func(name string) bool { return strings.Contains(name, standIn) }
	return o.veil != nil && o.veil.Unknown && slices.ContainsFunc([]string{h.gvk.Version, h.gvk.Kind, h.ref.Namespace, h.ref.Name}, unknown)
}

func (o *object) list(items []json.RawMessage, err error) {
	if err != nil {
		o.unread = true
		o.mistake(problem{"items", err.Error()})
	}
	if o.lists == maxLists {
		o.unread = true
		o.mistake(problem{what: fmt.Sprintf("lies in %d lists, at most %d may be inside each other", o.lists, maxLists)})
		return
	}
	for i, item := range items {
		element := &object{reader: o.reader, loc: o.loc, lists: o.lists + 1, within: o.within + ".items[" + strconv.Itoa(i) + "]"}
		element.read(item)
	}
}

// one takes up a single object, once it is clear what it claims to be.
func (o *object) one(h *head, size int) {
	k, problem := find(h.gvk)
	if problem != nil {
		o.unread = true
		o.mistake(*problem)
		return
	}
	if size > maxObjectBytes {
		o.identify(k, h)
		o.mistake(tooLarge(size))
	} else {
		o.take(k, h)
	}
	if o.failed {
		o.broken = append(o.broken, declared{o.ref, Source{o.path, o.line("")}})
	}
}

func tooLarge(size int) problem {
	return problem{what: fmt.Sprintf("is %d KiB large, at most %d KiB are allowed", size>>10, maxObjectBytes>>10)}
}

// find is the kind of an object, nil for one of a CustomResourceDefinition.
func find(gvk schema.GroupVersionKind) (*kind, *problem) {
	if k := storedKind(gvk); k != nil {
		return k, nil
	}
	k := kinds[gvk.GroupKind()]
	if k == nil && !ownGroup(gvk.Group) {
		return nil, nil
	}
	if what := removed(gvk); what != "" {
		return nil, &problem{"kind", what}
	}
	return nil, &problem{"apiVersion", wrongKind(gvk, k)}
}
