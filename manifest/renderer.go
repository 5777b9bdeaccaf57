package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
)

// Renderer builds what is not written as plain manifests. Load finds the units and says when one has
// to be built again; the Renderer knows kustomize and Helm.
type Renderer interface {
	// Render builds units of one tree, in their order. fsys is the whole repository, not only the
	// followed folder. The error says that nothing could be built, for a reason that lies outside of
	// the repository; what is wrong in the repository is in each unit's Mistakes.
	Render(fsys fs.FS, units []Unit) ([]Rendering, error)
}

// Unit is what is built as one: a folder with a kustomization, or a chart that writ.yaml asks for.
type Unit struct {
	Folder string // of the kustomization, or of a chart that lies in the repository; from its root
	Chart  *Chart // nil for a kustomization
	Source Source // the kustomization file, or the line of writ.yaml
}

// Rendering is what became of a Unit.
type Rendering struct {
	Documents []Rendered
	// Inputs is every file and folder that was looked at. While all of them are the same, so is the
	// rendering. Their IDs are empty; Load fills them in.
	Inputs   []Input
	Mistakes Mistakes
	Warnings Mistakes
	// Release describes a rendered chart as Helm's own tools know a release; nil for a kustomization.
	Release *Release
	// Secrecy is of everything encrypted that was looked at, nil if nothing was.
	Secrecy *Secrecy
}

// Rendered is one object of a rendering.
type Rendered struct {
	Text   []byte // one YAML document
	Source Source // where it came from: the resource's own file, or the chart's template
	// Namespace is where the object goes if it names none and lives in one; empty for default.
	Namespace string
}

// Input is a path of the repository and what was found there.
type Input struct {
	Path string
	List bool   // what is in the folder was asked, not only whether it is one
	ID   string // what InputID was then
}

// InputID identifies what is at a path: the content of a file, the names in a folder if they are
// listed. It is empty if nothing is there, and never equal for two things that render differently.
func InputID(fsys fs.FS, name string, list bool) string {
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return ""
	case !info.IsDir():
		return fileID(fsys, name, info)
	case !list:
		return "folder"
	}
	entries, err := fs.ReadDir(fsys, name)
	if err != nil {
		return ""
	}
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%q %t\n", e.Name(), e.IsDir())
	}
	return hex.EncodeToString(h.Sum(nil))
}

func fileID(fsys fs.FS, name string, info fs.FileInfo) string {
	if id := identity(info); id != "" {
		return id
	}
	f, err := fsys.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxExpandedBytes)); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}
