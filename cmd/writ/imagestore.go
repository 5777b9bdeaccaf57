package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	noderuntime "writ/runtime"
	"writ/runtime/image"
)

// imageConfig bounds images, and says which registries are genuine.
type imageConfig struct {
	maxSize string
	files   int64
	cas     []string

	keys, helpers     string
	mirrors, insecure []string

	gcHigh, gcLow  int
	minAge, maxAge time.Duration
}

func (c *imageConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.maxSize, "max-image-size", "64Gi", "what one image may take on disk, all its layers together")
	f.Int64Var(&c.files, "max-image-files", 4<<20, "how many files one image may hold")
	f.StringSliceVar(&c.cas, "registry-ca-file", nil, "file with certificates to trust for registries beside the system's; may be given again")
	f.StringVar(&c.keys, "registry-config", "", "file with credentials for registries that every pod may use, in Docker's form (auths, credHelpers, credsStore)")
	f.StringVar(&c.helpers, "credential-helper-dir", "", "folder of the docker-credential-* programs (default: the PATH)")
	f.StringSliceVar(&c.mirrors, "registry-mirror", nil, "REGISTRY=ADDRESS to ask first, as in docker.io=mirror.example:5000; * is every registry; may be given again")
	f.StringSliceVar(&c.insecure, "registry-insecure", nil, "registry, host[:port], that may be spoken to without encryption; may be given again")
	f.IntVar(&c.gcHigh, "image-gc-high-threshold", 85, "percent of the disk in use from which on unused images are removed; 100 for never")
	f.IntVar(&c.gcLow, "image-gc-low-threshold", 80, "percent of the disk in use down to which they are")
	f.DurationVar(&c.minAge, "image-minimum-gc-age", 2*time.Minute, "how long an unused image is kept at least")
	f.DurationVar(&c.maxAge, "image-maximum-gc-age", 0, "how long an unused image is kept at most, also on an empty disk; 0 for no bound")
}

func (c *imageConfig) validate() error {
	if q, err := resource.ParseQuantity(c.maxSize); err != nil || q.Value() <= 0 {
		return fmt.Errorf("--max-image-size %q is not a size such as 64Gi", c.maxSize)
	}
	if c.files <= 0 {
		return fmt.Errorf("--max-image-files %d: at least one file", c.files)
	}
	for _, p := range []struct{ flag, path string }{{"--registry-config", c.keys}, {"--credential-helper-dir", c.helpers}} {
		if p.path != "" && !filepath.IsAbs(p.path) {
			return fmt.Errorf("%s %q: want a path from the root on", p.flag, p.path)
		}
	}
	if c.gcHigh < 1 || c.gcHigh > 100 || c.gcLow < 1 || c.gcLow > c.gcHigh {
		return fmt.Errorf("--image-gc-high-threshold %d and --image-gc-low-threshold %d: percentages of 1 to 100, the low one not above the high one", c.gcHigh, c.gcLow)
	}
	if c.minAge <= 0 || c.maxAge < 0 || c.maxAge > 0 && c.maxAge < c.minAge {
		return fmt.Errorf("--image-minimum-gc-age %v and --image-maximum-gc-age %v: positive, the maximum not below the minimum (or 0)", c.minAge, c.maxAge)
	}
	cfg := c.store("/")
	return cfg.Validate()
}

// gc is when the runtime removes images.
func (c *imageConfig) gc() noderuntime.ImageGC {
	return noderuntime.ImageGC{High: c.gcHigh, Low: c.gcLow, MinAge: c.minAge, MaxAge: c.maxAge}
}

func (c *imageConfig) store(dataDir string) image.Config {
	size := resource.MustParse(c.maxSize) // validate has looked at it
	return image.Config{
		Dir: filepath.Join(dataDir, "layers"), Archives: filepath.Join(dataDir, imagesDir),
		MaxBytes: size.Value(), MaxFiles: c.files, CAFiles: c.cas,
		Mirrors: c.mirrors, Insecure: c.insecure, RegistryConfig: c.keys, HelperDir: c.helpers,
	}
}
