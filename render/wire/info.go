package wire

import (
	"io/fs"
	"time"
)

// Info describes a file or folder to libraries that ask for an fs.FileInfo.
type Info struct {
	Base   string // the last part of its path
	Bytes  int64
	Folder bool
}

// The methods implement fs.FileInfo; modes and times are the same for all.
func (i Info) Name() string       { return i.Base }
func (i Info) Size() int64        { return i.Bytes }
func (i Info) ModTime() time.Time { return time.Time{} }
func (i Info) IsDir() bool        { return i.Folder }
func (i Info) Sys() any           { return nil }

// Mode is that of something that everybody may read.
func (i Info) Mode() fs.FileMode {
	if i.Folder {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
