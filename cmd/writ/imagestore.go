package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/runtime/image"
)

// imageConfig bounds images, and says which registries are genuine.
type imageConfig struct {
	maxSize string
	files   int64
	cas     []string
}

func (c *imageConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.maxSize, "max-image-size", "64Gi", "what one image may take on disk, all its layers together")
	f.Int64Var(&c.files, "max-image-files", 4<<20, "how many files one image may hold")
	f.StringSliceVar(&c.cas, "registry-ca-file", nil, "file with certificates to trust for registries beside the system's; may be given again")
}

func (c *imageConfig) validate() error {
	if q, err := resource.ParseQuantity(c.maxSize); err != nil || q.Value() <= 0 {
		return fmt.Errorf("--max-image-size %q is not a size such as 64Gi", c.maxSize)
	}
	if c.files <= 0 {
		return fmt.Errorf("--max-image-files %d: at least one file", c.files)
	}
	return nil
}

func (c *imageConfig) store(dataDir string) image.Config {
	size := resource.MustParse(c.maxSize) // validate has looked at it
	return image.Config{
		Dir: filepath.Join(dataDir, "layers"), Archives: filepath.Join(dataDir, imagesDir),
		MaxBytes: size.Value(), MaxFiles: c.files, CAFiles: c.cas,
	}
}
