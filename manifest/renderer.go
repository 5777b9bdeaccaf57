package manifest

import "io/fs"

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
	// rendering.
	Inputs   []Input
	Mistakes Mistakes
	Warnings Mistakes
	// Release describes a rendered chart as Helm's own tools know a release; nil for a kustomization.
	Release *Release
}

// Rendered is one object of a rendering.
type Rendered struct {
	Text   []byte // one YAML document
	Source Source // where it came from: the resource's own file, or the chart's template
}

// Input is a path of the repository and what was found there.
type Input struct {
	Path string
	ID   string // identity of the content, that of the listing for a folder; empty if nothing was there
}

// Decrypter opens documents that are encrypted with SOPS. Its keys are bound to places, so that a
// ciphertext that was copied into somebody else's folder does not open.
type Decrypter interface {
	// Decrypt returns the clear text of a whole file. format is yaml, json, dotenv, ini or binary;
	// folder is the unit that reads the file, or the folder of the file itself. namespaces is where
	// the clear text may be used, nil for everywhere. The error names keys, never values.
	Decrypt(path, folder, format string, data []byte) (clear []byte, namespaces []string, err error)
	// KeysID changes when the keys or their bindings do.
	KeysID() string
}
