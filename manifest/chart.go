package manifest

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Chart is a Helm chart that writ.yaml asks for, and what it is rendered with. It lies in the
// repository (Path), or in a chart repository from which one exact version is fetched once.
type Chart struct {
	// Name is the release's, Namespace where it goes unless a template says otherwise. Default default.
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	// Path is the chart's folder, relative to writ.yaml's.
	Path string `json:"path,omitempty"`
	// Repository is an https URL with Chart as the name in its index, or an oci URL of the chart itself.
	Repository string `json:"repository,omitempty"`
	Chart      string `json:"chart,omitempty"`
	// Version is exact: a range would make one commit mean two things.
	Version string `json:"version,omitempty"`
	// Digest is the SHA-256 of the chart's archive, sha256:HEX. Without it the first fetch decides.
	Digest string `json:"digest,omitempty"`
	// ValueFiles are relative to writ.yaml's folder; later ones win, and Values win over all of them.
	ValueFiles []string       `json:"valueFiles,omitempty"`
	Values     map[string]any `json:"values,omitempty"`
	// SkipCRDs leaves out what lies in the chart's crds folder, for those who declare it themselves.
	SkipCRDs bool `json:"skipCRDs,omitempty"`
	// APIVersions are further ones that the chart finds in .Capabilities, as of definitions that the
	// repository declares elsewhere: group/version, or group/version/Kind.
	APIVersions []string `json:"apiVersions,omitempty"`
}

var (
	exactVersion = regexp.MustCompile(`^v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	chartDigest  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// maxReleaseName is Helm's limit.
const maxReleaseName = 53

// chartProblems checks spec.charts.
func (c *Cluster) chartProblems() []problem {
	var problems []problem
	first := make(map[string]int)
	for i := range c.Spec.Charts {
		chart := &c.Spec.Charts[i]
		at := fmt.Sprintf("spec.charts[%d]", i)
		for _, p := range chart.problems() {
			problems = append(problems, problem{at + p.path, p.what})
		}
		release := chart.Namespace + "/" + chart.Name
		if before, twice := first[release]; twice {
			problems = append(problems, problem{at + ".name", fmt.Sprintf("release %s is already spec.charts[%d]", release, before)})
		}
		first[release] = i
	}
	return problems
}

func (c *Chart) problems() []problem {
	var problems []problem
	add := func(field, format string, args ...any) {
		problems = append(problems, problem{field, fmt.Sprintf(format, args...)})
	}
	for _, what := range validation.IsDNS1123Subdomain(c.Name) {
		add(".name", "%s", what)
	}
	if len(c.Name) > maxReleaseName {
		add(".name", "must be no longer than %d characters", maxReleaseName)
	}
	for _, what := range validation.IsDNS1123Label(c.Namespace) {
		add(".namespace", "%s", what)
	}
	switch {
	case (c.Path == "") == (c.Repository == ""):
		add("", "needs either path, a folder of this repository, or repository")
	case c.Path != "":
		if path.IsAbs(c.Path) {
			add(".path", "%s is an absolute path; only folders of this repository are read", c.Path)
		}
		if c.Chart != "" || c.Version != "" || c.Digest != "" {
			add("", "chart, version and digest are for a chart from a repository")
		}
	default:
		c.fetched(add)
	}
	for i, name := range c.ValueFiles {
		if path.IsAbs(name) || strings.Contains(name, "://") {
			add(fmt.Sprintf(".valueFiles[%d]", i), "%s is not a path in this repository", name)
		}
	}
	return problems
}

// fetched checks the fields of a chart from a chart repository.
func (c *Chart) fetched(add func(field, format string, args ...any)) {
	at, err := url.Parse(c.Repository)
	switch {
	case err != nil || at.Scheme != "https" && at.Scheme != "http" && at.Scheme != "oci" || at.Host == "":
		add(".repository", "%q is neither an https nor an oci URL", c.Repository)
	case at.User != nil:
		add(".repository", "holds a user name or password; charts are fetched without")
	case at.Scheme == "http" && !IsLoopback(at.Hostname()):
		add(".repository", "%s is not encrypted; http is for loopback addresses only", c.Repository)
	case at.Scheme == "oci" && c.Chart != "":
		add(".chart", "an oci URL names the chart itself")
	case at.Scheme != "oci" && c.Chart == "":
		add(".chart", "is missing")
	}
	if !exactVersion.MatchString(c.Version) {
		add(".version", "%q is not an exact version such as 1.2.3", c.Version)
	}
	if c.Digest != "" && !chartDigest.MatchString(c.Digest) {
		add(".digest", "%q is not of the form sha256:HEX", c.Digest)
	}
}

// IsLoopback tells whether a host of an address is this machine itself, the only one that charts are
// fetched from in clear text.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Release is what a rendered chart is to Helm's own tools.
type Release struct {
	Name, Namespace string
	// Body is the release as Helm stores it, as JSON under gzip, without version, state and times.
	Body []byte
}
