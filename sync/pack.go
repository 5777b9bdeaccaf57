package sync

import (
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/hash"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// pack is one pack of the mirror, open. It stays readable when its files are removed.
type pack struct {
	name plumbing.Hash
	size int64
	idx  *idxfile.MemoryIndex
	file *packfile.Packfile
}

func (p *pack) close() { _ = p.file.Close() }

func (db *objects) packFile(name plumbing.Hash, ext string) string {
	return filepath.Join(db.dir, "objects", "pack", "pack-"+name.String()+ext)
}

// sweep opens the packs that are complete and removes what is not: temporary files, and an index
// without its pack, which the next download of the same pack would take for complete. A damaged
// pack, or one without its index, is of no use and is removed too. The caller holds mu or is alone.
func (db *objects) sweep() error {
	folder := filepath.Join(db.dir, "objects", "pack")
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, f := range files {
		base, isPack := strings.CutSuffix(f.Name(), ".pack")
		if name, ok := strings.CutPrefix(base, "pack-"); isPack && ok && plumbing.IsHash(name) {
			err := db.openPack(plumbing.NewHash(name))
			var file *fs.PathError
			if errors.As(err, &file) && !errors.Is(err, fs.ErrNotExist) {
				return err // it cannot be read now, which says nothing about what it holds
			}
			if err == nil {
				continue
			}
		} else if base, ok := strings.CutSuffix(f.Name(), ".idx"); ok {
			if _, err := os.Stat(filepath.Join(folder, base+".pack")); err == nil {
				continue
			}
		}
		if err := os.Remove(filepath.Join(folder, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// openPack adds a complete pack to the database. The caller holds mu or is alone.
func (db *objects) openPack(name plumbing.Hash) error {
	if slices.ContainsFunc(db.packs, func(p *pack) bool { return p.name == name }) {
		return nil
	}
	f, err := os.Open(db.packFile(name, ".idx"))
	if err != nil {
		return err
	}
	defer f.Close()
	idx := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(f).Decode(idx); err != nil {
		return fmt.Errorf("read index of pack %s: %w", name, err)
	}
	if idx.PackfileChecksum != name {
		return fmt.Errorf("read index of pack %s: it belongs to %x", name, idx.PackfileChecksum)
	}
	return db.addIndexed(name, idx)
}

// addIndexed opens a pack whose index is known, checking that it ends as it should: one that a
// loss of power cut short does not.
func (db *objects) addIndexed(name plumbing.Hash, idx *idxfile.MemoryIndex) error {
	file := db.packFile(name, ".pack")
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	f, err := osfs.New(filepath.Dir(file)).Open(filepath.Base(file))
	if err != nil {
		return err
	}
	var sum plumbing.Hash
	if _, err := f.ReadAt(sum[:], info.Size()-int64(len(sum))); err != nil || sum != name {
		f.Close()
		return errors.Join(fmt.Errorf("pack %s is not whole", name), err)
	}
	// Without a file system go-git reads objects into memory at once instead of opening the file
	// again later, when it may be gone.
	db.packs = append(db.packs, &pack{name, info.Size(), idx, packfile.NewPackfileWithCache(idx, nil, f, db.cache, 0)})
	return nil
}

// addPack stores what fill writes as a new pack, which must hold no delta against an object outside
// of it, and returns its name. When it returns nil the pack is complete, indexed and readable; after
// settle it is also safe from a loss of power. On an error nothing half-written is left.
func (db *objects) addPack(fill func(io.Writer) error) (plumbing.Hash, error) {
	w, err := dotgit.New(osfs.New(db.dir)).NewObjectPack()
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("begin pack: %w", err)
	}
	var name plumbing.Hash
	var idx *idxfile.MemoryIndex
	var idxErr error
	w.Notify = func(h plumbing.Hash, made *idxfile.Writer) {
		name = h
		idx, idxErr = made.Index()
	}
	err = fill(w)
	if cerr := w.Close(); err == nil {
		err = errors.Join(cerr, idxErr)
	}
	if err == nil && idx == nil {
		err = errors.New("the pack is empty")
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if err == nil && !slices.ContainsFunc(db.packs, func(p *pack) bool { return p.name == name }) {
		err = db.addIndexed(name, idx)
	}
	if err != nil {
		return plumbing.ZeroHash, errors.Join(err, db.sweep())
	}
	db.unsettled = append(db.unsettled, name)
	return name, nil
}

// settle waits until every pack is on the disk.
func (db *objects) settle() error {
	db.mu.Lock()
	names := db.unsettled
	db.unsettled = nil
	db.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	files := []string{filepath.Join(db.dir, "objects", "pack")}
	for _, name := range names {
		files = append(files, db.packFile(name, ".pack"), db.packFile(name, ".idx"))
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("write pack: %w", err)
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return fmt.Errorf("write pack: %w", err)
		}
	}
	return nil
}

// objectSource is where writePack reads from.
type objectSource interface {
	EncodedObject(plumbing.ObjectType, plumbing.Hash) (plumbing.EncodedObject, error)
}

// writePack writes objects as a pack (gitformat-pack(5)), one at a time and without deltas, so that
// memory holds no more than one of them. go-git's encoder holds all.
func writePack(out io.Writer, from objectSource, list []plumbing.Hash) error {
	sum := hash.New(hash.CryptoType)
	w := io.MultiWriter(out, sum)
	head := binary.BigEndian.AppendUint32([]byte("PACK"), packfile.VersionSupported)
	if _, err := w.Write(binary.BigEndian.AppendUint32(head, uint32(len(list)))); err != nil {
		return err
	}
	z, err := zlib.NewWriterLevel(w, zlib.BestSpeed)
	if err != nil {
		return err
	}
	for _, h := range list {
		o, err := from.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return fmt.Errorf("read object %s: %w", h, err)
		}
		if err := writeEntry(w, z, o); err != nil {
			return fmt.Errorf("write object %s: %w", h, err)
		}
	}
	_, err = out.Write(sum.Sum(nil))
	return err
}

func writeEntry(w io.Writer, z *zlib.Writer, o plumbing.EncodedObject) error {
	size := uint64(o.Size())
	head := []byte{byte(o.Type())<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		head[len(head)-1] |= 0x80
		head = append(head, byte(size&0x7f))
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	r, err := o.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	z.Reset(w)
	if _, err := io.Copy(z, r); err != nil {
		return err
	}
	return z.Close()
}
