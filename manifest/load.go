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
	count    int      // of files here and below
	size     int      // of objects here and below, as JSON
	warnings Mistakes // of the folder itself
	warned   bool     // here or below
}

// contentID is what the Sys of a file's FileInfo has when the file system knows what identifies the
// content: the hash of a blob, or of a tree for a folder.
type contentID interface{ ContentID() string }

// Load reads every manifest of a tree. The error is Mistakes when the tree can be read and its content
// cannot be adopted; then all of them are in it. Any other error means that the tree could not be read,
// and says nothing about its content.
//
// With prev, what is unchanged since is taken over without being read again, as the same pointers,
// provided that fsys tells the identity of contents (a FileInfo.Sys with a ContentID() string: equal
// identities mean equal bytes, and for folders equal trees).
func Load(fsys fs.FS, prev *Set) (*Set, error) {
	l := &loader{fsys: fsys}
	if prev != nil {
		l.prev = prev
	}
	settings, err := l.settings()
	if err != nil {
		return nil, err
	}
	var before *folder
	if prev != nil {
		before = prev.root
	}
	root, err := l.folder(".", before, ignore{}, 0)
	if err != nil {
		return nil, err
	}
	set := l.assemble(settings, root)
	if len(l.mistakes) > 0 {
		return nil, l.refusal()
	}
	return set, nil
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
	fsys     fs.FS
	prev     *Set
	mistakes Mistakes
	found    []finding // mistakes whose lines are not known yet
	broken   []declared
	unread   bool // some object could not be identified: absence proves nothing
	count    int
	folders  int // that were listed
	size     int
}

// mistake reports something about a path.
func (l *loader) mistake(name string, line int, format string, args ...any) {
	l.mistakes = append(l.mistakes, Mistake{Source: Source{name, line}, What: fmt.Sprintf(format, args...)})
}

// settings reads writ.yaml, which may be absent.
func (l *loader) settings() (Cluster, error) {
	data, err := l.readFile(settingsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return defaultSettings(), nil
	}
	if err != nil || data == nil {
		return Cluster{}, err
	}
	settings, mistakes := readSettings(data)
	l.mistakes = append(l.mistakes, mistakes...)
	return settings, nil
}

// readFile reads a file of bounded size. A file that is too large is a mistake, and data is nil.
func (l *loader) readFile(name string) ([]byte, error) {
	info, err := fs.Lstat(l.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		l.unread = true
		l.mistake(name, 0, "is a symbolic link or no regular file; only regular files are read")
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
func (l *loader) folder(name string, before *folder, rules ignore, depth int) (*folder, error) {
	info, err := fs.Lstat(l.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	f := &folder{name: name, id: identity(info), ignoring: rules.key}
	if before != nil && f.id != "" && f.id == before.id && f.ignoring == before.ignoring {
		return before, l.grow(name, before.count, before.size)
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
	if l.rendered(name, entries) {
		return f, nil
	}
	if rules, err = l.rules(name, entries, rules); err != nil {
		return nil, err
	}
	return f, l.entries(f, before, entries, rules, depth)
}

// grow counts what the tree holds and refuses one that is too large to go on with.
func (l *loader) grow(name string, count, size int) error {
	l.count += count
	l.size += size
	switch {
	case l.count > maxFiles:
		return l.stop(name, fmt.Sprintf("the tree has more than %d manifests", maxFiles))
	case l.size > maxTreeBytes:
		return l.stop(name, fmt.Sprintf("the tree's objects are larger than %d MiB", maxTreeBytes>>20))
	case len(l.mistakes) >= maxMistakes:
		return l.stop(name, fmt.Sprintf("more than %d mistakes; what follows was not read", maxMistakes))
	}
	return nil
}

// stop is the error for a tree that is not read any further.
func (l *loader) stop(name, why string) error {
	l.mistake(name, 0, "%s", why)
	return l.refusal()
}

// rendered refuses folders that are built by a tool which is not part of this version.
func (l *loader) rendered(name string, entries []fs.DirEntry) bool {
	for _, e := range entries {
		tool := ""
		switch e.Name() {
		case "kustomization.yaml", "kustomization.yml", "Kustomization":
			tool = "kustomize"
		case "Chart.yaml":
			tool = "Helm"
		default:
			continue
		}
		l.unread = true
		l.mistake(path.Join(name, e.Name()), 0, "%s is not supported yet; commit the rendered manifests, or list the folder in %s", tool, ignoreFile)
		return true
	}
	return false
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
		if rules.match(segments(name), e.IsDir()) {
			continue
		}
		switch {
		case e.IsDir():
			sub, err := l.folder(name, known.folders[name], rules, depth+1)
			if err != nil {
				return err
			}
			f.folders = append(f.folders, sub)
			f.count += sub.count
			f.size += sub.size
			f.warned = f.warned || sub.warned
		case !isManifest(e.Name()):
			if e.Type()&fs.ModeSymlink != 0 {
				f.warnings = append(f.warnings, Mistake{Source: Source{Path: name}, What: "is a symbolic link and is not followed"})
			}
		case !e.Type().IsRegular():
			l.mistake(name, 0, "is a symbolic link or no regular file; only regular files are read")
		case name != settingsFile:
			if err := l.file(f, known.files[name], name, e); err != nil {
				return err
			}
		}
	}
	f.warned = f.warned || len(f.warnings) > 0
	return nil
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
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	made, id := before, identity(info)
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
			made = readFile(name, id, data)
		}
	}
	l.mistakes = append(l.mistakes, made.mistakes...)
	l.broken = append(l.broken, made.broken...)
	l.unread = l.unread || made.unread
	f.files = append(f.files, made)
	f.count++
	f.size += made.size
	f.warned = f.warned || len(made.warnings) > 0
	return l.grow(name, 1, made.size)
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
