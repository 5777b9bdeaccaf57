package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// folder is what one folder of the tree holds. It is immutable and is taken over into the next commit
// with everything below it as long as its content and the ignore rules that hold in it are the same.
type folder struct {
	name     string
	id       string // identity of the content, empty if the file system has none
	ignoring string // the ignore rules from above, and so part of the identity
	files    []*file
	folders  []*folder
	build    *build   // what the folder itself is built with, nil for plain manifests
	inside   bool     // below a folder with a kustomization: manifests here are read by it alone
	builds   bool     // here or below is something that is built
	count    int      // of files here and below
	objects  int      // here and below
	size     int      // of objects here and below, as JSON
	warnings Mistakes // of the folder itself
	warned   bool     // here or below
	secret   bool     // here or below is something that is encrypted
}

// contentID is what the Sys of a file's FileInfo has when the file system knows what identifies the
// content: the hash of a blob, or of a tree for a folder.
type contentID interface{ ContentID() string }

// Loader reads commits. Its zero value reads a whole repository of plain manifests.
type Loader struct {
	Folder    string    // that is followed, from the repository's root; empty for the root itself
	Renderer  Renderer  // nil: kustomizations and charts are mistakes
	Decrypter Decrypter // nil: encrypted documents are mistakes
	Signing   Signing   // nil: spec.signers is a mistake
}

// Load reads a tree of plain manifests.
func Load(fsys fs.FS, prev *Set) (*Set, error) { return Loader{}.Load(fsys, prev) }

// Load reads every manifest of a followed folder; fsys is the repository. The error is Mistakes when
// the tree can be read and its content cannot be adopted; then all of them are in it. Any other error
// means that the tree could not be read or rendered, and says nothing about its content.
//
// With prev, what is unchanged since is taken over without being read again, as the same pointers,
// provided that fsys tells the identity of contents (a FileInfo.Sys with a ContentID() string: equal
// identities mean equal bytes, and for folders equal trees).
func (c Loader) Load(fsys fs.FS, prev *Set) (*Set, error) {
	l := newLoader(c, fsys, prev)
	set, err := l.load()
	if err != nil {
		return nil, err
	}
	if len(l.mistakes) > 0 {
		return nil, l.refusal()
	}
	return set, nil
}

func newLoader(c Loader, fsys fs.FS, prev *Set) *loader {
	c.Folder = path.Join(".", c.Folder)
	return &loader{Loader: c, fsys: fsys, prev: prev, identities: make(map[Input]string), texts: make(map[string][]chunk)}
}

// load reads the tree. The Set is of use for the next commit only if nothing was reported.
func (l *loader) load() (*Set, error) {
	settings, err := l.settings()
	if err != nil {
		return nil, err
	}
	l.chartFolders = chartFolders(l.Folder, settings)
	var before *folder
	if l.prev != nil && l.prev.root != nil && l.prev.root.name == l.Folder {
		before = l.prev.root
	}
	root, err := l.folder(l.Folder, before, ignore{key: strings.Join(l.chartFolders, "\x00")}, 0, false)
	if err != nil {
		return nil, err
	}
	units, err := l.units(settings, root)
	if err != nil {
		return nil, err
	}
	return l.assemble(settings, root, units), nil
}

// refusal is the mistakes as Load returns them.
func (l *loader) refusal() Mistakes {
	l.mistakes.Sort()
	if n := len(l.mistakes) - maxMistakes; n > 0 {
		return append(l.mistakes[:maxMistakes:maxMistakes], Mistake{What: fmt.Sprintf("and %d mistakes more", n)})
	}
	return l.mistakes
}

// loader is one call of Load.
type loader struct {
	Loader
	fsys     fs.FS
	prev     *Set
	mistakes Mistakes
	found    []finding // mistakes whose lines are not known yet
	hints    []finding // and warnings
	broken   []declared
	unread   bool // some object could not be identified: absence proves nothing
	count    int
	objects  int
	folders  int // that were listed
	size     int

	read         []*file  // plain files that were read now, not taken over
	flawCount    int      // their mistakes
	chartFolders []string // folders of the repository that spec.charts names
	unused       Mistakes // kustomizations that nobody asks for
	identities   map[Input]string
	texts        map[string][]chunk // of files that were looked at again for lines
	textBytes    int
	written      *locator // of writ.yaml, once a line of it was asked for
}

// mistake reports something about a path.
func (l *loader) mistake(name string, line int, format string, args ...any) {
	l.mistakes = append(l.mistakes, Mistake{Source: Source{name, line}, What: fmt.Sprintf(format, args...)})
}

// settings reads writ.yaml, which may be absent.
func (l *loader) settings() (Cluster, error) {
	name := path.Join(l.Folder, settingsFile)
	data, err := l.readFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultSettings(), nil
	}
	if err != nil || data == nil {
		return Cluster{}, err
	}
	settings, mistakes := readSettings(name, data)
	l.mistakes = append(l.mistakes, mistakes...)
	l.signers(&settings)
	return settings, nil
}

// readFile reads a file of bounded size. A file that is too large is a mistake, and data is nil.
func (l *loader) readFile(name string) ([]byte, error) {
	info, err := l.look(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		l.unread = true
		l.irregular(name, info.Mode())
		return nil, nil
	}
	limit := int64(maxFileBytes)
	if path.Base(name) == ignoreFile {
		limit = maxIgnoreBytes
	}
	if info.Size() <= limit {
		data, err := fs.ReadFile(l.fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if int64(len(data)) <= limit {
			return append([]byte{}, data...), nil
		}
	}
	l.unread = true
	l.mistake(name, 0, "is larger than %d KiB", limit>>10)
	return nil, nil
}

// identity is the content identity of a file or folder, empty if the file system tells none.
func identity(info fs.FileInfo) string {
	if c, ok := info.Sys().(contentID); ok {
		return c.ContentID()
	}
	return ""
}

// folder reads a folder, or takes it over from before.
func (l *loader) folder(name string, before *folder, rules ignore, depth int, inside bool) (*folder, error) {
	info, err := l.look(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	f := &folder{name: name, id: identity(info), ignoring: rules.key, inside: inside}
	if before != nil && f.id != "" && f.id == before.id && f.ignoring == before.ignoring && f.inside == before.inside && !(before.secret && l.rekeyed()) {
		return before, l.grow(name, before.count, before.objects, before.size)
	}
	if depth > maxFolderDepth {
		l.unread = true
		l.mistake(name, 0, "lies more than %d folders deep", maxFolderDepth)
		return f, nil
	}
	if l.folders++; l.folders > maxFolders {
		return nil, l.stop(name, fmt.Sprintf("the tree has more than %d folders", maxFolders))
	}
	entries, err := fs.ReadDir(l.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	if f.build, err = l.built(name, entries); err != nil {
		return nil, err
	}
	f.builds = f.build != nil
	if f.builds && f.build.chart {
		return f, nil
	}
	if rules, err = l.rules(name, entries, rules); err != nil {
		return nil, err
	}
	return f, l.entries(f, before, entries, rules, depth)
}

// grow counts what the tree holds and refuses one that is too large to go on with.
func (l *loader) grow(name string, count, objects, size int) error {
	l.count += count
	l.objects += objects
	l.size += size
	switch {
	case l.count > maxFiles:
		return l.stop(name, fmt.Sprintf("the tree has more than %d manifests", maxFiles))
	case l.objects > maxObjects:
		return l.stop(name, fmt.Sprintf("the tree has more than %d objects", maxObjects))
	case l.size > maxTreeBytes:
		return l.stop(name, fmt.Sprintf("the tree's objects are larger than %d MiB", maxTreeBytes>>20))
	case len(l.mistakes)+l.flawCount >= maxMistakes:
		return l.stop(name, fmt.Sprintf("more than %d mistakes; what follows was not read", maxMistakes))
	}
	return nil
}

// stop is the error for a tree that is not read any further.
func (l *loader) stop(name, why string) error {
	for _, f := range l.read {
		l.flaws(f)
	}
	l.mistake(name, 0, "%s", why)
	return l.refusal()
}

// rules are those from above and those of the folder's own .writignore.
func (l *loader) rules(name string, entries []fs.DirEntry, above ignore) (ignore, error) {
	if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == ignoreFile }) {
		return above, nil
	}
	at := path.Join(name, ignoreFile)
	data, err := l.readFile(at)
	made := above.below(segments(name), data)
	if len(made.patterns) > maxPatterns {
		l.unread = true
		l.mistake(at, 0, "%d rules hold here with those of the folders above, at most %d are allowed", len(made.patterns), maxPatterns)
		return above, err
	}
	return made, err
}

// segments are the parts of a path, none for the root.
func segments(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

// entries reads what is in a folder.
func (l *loader) entries(f, before *folder, entries []fs.DirEntry, rules ignore, depth int) error {
	known := before.index()
	for _, e := range entries {
		name := path.Join(f.name, e.Name())
		mode := l.follow(name, e)
		if rules.match(segments(name), mode.IsDir()) {
			continue
		}
		switch {
		case mode.IsDir() && mode&fs.ModeIrregular != 0:
			l.unread = true
			l.mistake(name, 0, "is a submodule, whose files are not part of this repository; commit them, or list it in %s", ignoreFile)
		case mode.IsDir():
			sub, err := l.folder(name, known.folders[name], rules, depth+1, f.inside || f.build != nil)
			if err != nil {
				return err
			}
			f.folders = append(f.folders, sub)
			f.count += sub.count
			f.objects += sub.objects
			f.size += sub.size
			f.warned = f.warned || sub.warned
			f.builds = f.builds || sub.builds
			f.secret = f.secret || sub.secret
		case f.inside || f.build != nil:
			// A kustomization says itself what it reads.
		case !isManifest(e.Name()):
			if mode&fs.ModeSymlink != 0 {
				l.irregular(name, mode) // it may have been a folder of manifests
			}
		case !mode.IsRegular():
			l.irregular(name, mode)
		case name != path.Join(l.Folder, settingsFile):
			if err := l.file(f, known.files[name], name, e); err != nil {
				return err
			}
		}
	}
	f.warned = f.warned || len(f.warnings) > 0
	return nil
}

// follow is the type of what a folder's entry leads to; a link that leads nowhere stays one.
func (l *loader) follow(name string, e fs.DirEntry) fs.FileMode {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.Type()
	}
	info, err := l.look(name)
	if err != nil {
		return e.Type()
	}
	return info.Mode().Type()
}

// look tells what is at a path, or at the end of a link; a link that leads nowhere is told as a link.
func (l *loader) look(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(l.fsys, name)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return info, err
	}
	if end, err := fs.Stat(l.fsys, name); err == nil {
		return end, nil
	}
	return info, nil
}

const deadLink = "is a symbolic link that leads nowhere in this repository; remove it, or list it in " + ignoreFile

// irregular reports what cannot be read as a file.
func (l *loader) irregular(name string, mode fs.FileMode) {
	what := "is no regular file"
	if mode&fs.ModeSymlink != 0 {
		what = deadLink
	}
	l.unread = true // it may declare anything
	l.mistake(name, 0, "%s", what)
}

// isManifest tells by its name whether a file holds manifests.
func isManifest(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// file reads a manifest, or takes it over from before, into its folder.
func (l *loader) file(f *folder, before *file, name string, e fs.DirEntry) error {
	info, err := e.Info()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		info, err = l.look(name)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	made, id := before, identity(info)
	if before != nil && before.secret && l.rekeyed() {
		before = nil
	}
	if before == nil || id == "" || before.id != id {
		data, err := l.readFile(name)
		if err != nil || data == nil {
			return err
		}
		if id == "" {
			sum := sha256.Sum256(data)
			id = hex.EncodeToString(sum[:])
		}
		if before == nil || before.id != id {
			if made, err = readFile(l.Decrypter, name, id, data); err != nil {
				return err
			}
		}
	}
	f.secret = f.secret || made.secret
	l.read = append(l.read, made)
	l.flawCount += len(made.mistakes)
	f.files = append(f.files, made)
	f.count++
	f.objects += len(made.objects)
	f.size += made.size
	f.warned = f.warned || len(made.warnings) > 0
	return l.grow(name, 1, len(made.objects), made.size)
}

// contents finds what a folder holds by path.
type contents struct {
	files   map[string]*file
	folders map[string]*folder
}

// index may be called on nil, which holds nothing.
func (f *folder) index() contents {
	if f == nil {
		return contents{}
	}
	c := contents{make(map[string]*file, len(f.files)), make(map[string]*folder, len(f.folders))}
	for _, file := range f.files {
		c.files[file.path] = file
	}
	for _, sub := range f.folders {
		c.folders[sub.name] = sub
	}
	return c
}
