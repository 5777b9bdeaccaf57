//go:build kernel

package runtime

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Every source of a variable, as a container sees it.
func TestVolumes_Environment(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	no, yes := false, true
	ref := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	amount := func(name, divisor string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: name, Divisor: resource.MustParse(divisor)}}
	}
	file := func(path, key string, optional *bool) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "made", Path: path, Key: key, Optional: optional}}
	}
	app := func(change func(p *corev1.Pod)) func(*corev1.Pod) {
		return volumes(func(p *corev1.Pod, c *corev1.Container) {
			p.Spec.InitContainers = []corev1.Container{{Name: "writer", Image: busyboxImage, VolumeMounts: c.VolumeMounts,
				Command: []string{"sh", "-c", "printf \"DB='post gres'\\nOTHER='x'\\n\" >/made/env; echo DB=bare >/made/bad"}}}
			change(p)
		}, emptyDir("made"))
	}
	b.world.adopt(t, b.cfg.Node, "c1",
		configMap("cfg", map[string]string{"plain": "p", "with.dot-and dash": "d", "COLOUR": "red"}), secret("key", map[string]string{"TOKEN": "s3"}),
		&corev1.Service{ObjectMeta: configMap("web", nil).ObjectMeta, Spec: corev1.ServiceSpec{ClusterIP: "10.1.2.3", Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}}},
		pod("app", busyboxImage, app(func(p *corev1.Pod) {
			p.Labels = map[string]string{"tier": "front"}
			c := &p.Spec.Containers[0]
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
			c.EnvFrom = []corev1.EnvFromSource{{Prefix: "CFG_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("cfg")}},
				{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("key")}}, {ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref("none"), Optional: &yes}}}
			c.Env = []corev1.EnvVar{{Name: "NAME", ValueFrom: field("metadata.name")}, {Name: "TIER", ValueFrom: field("metadata.labels['tier']")}, {Name: "IP", ValueFrom: field("status.podIP")},
				{Name: "CPUS", ValueFrom: amount("limits.cpu", "1")}, {Name: "MILLI", ValueFrom: amount("limits.cpu", "1m")}, {Name: "MEM", ValueFrom: amount("limits.memory", "1Mi")},
				{Name: "DB", ValueFrom: file("env", "DB", nil)}, {Name: "MAYBE", ValueFrom: file("env", "NONE", &yes)},
				{Name: "URL", Value: "$(NAME)/$(CFG_COLOUR)/$$(NAME)/$(UNKNOWN)/$(WEB_SERVICE_HOST)"}, {Name: "TOKEN", Value: "own"}}
		})),
		pod("nolinks", busyboxImage, func(p *corev1.Pod) { command("sleep", "1000")(p); p.Spec.EnableServiceLinks = &no }),
		pod("bad", busyboxImage, app(func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "DB", ValueFrom: file("bad", "DB", nil)}}
		})),
		pod("nokey", busyboxImage, app(func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", ValueFrom: file("env", "NONE", nil)}}
		})))
	b.isReady("app")
	b.isReady("nolinks")
	b.prints("app", map[string]string{
		`echo "$NAME|$TIER|$IP" | sed 's/10.9.0.*/ip/'`: "app|front|ip\n",
		`echo "$CPUS|$MILLI|$MEM"`:                      "2|1500|64\n",
		`echo "$DB|${MAYBE-unset}"`:                     "post gres|unset\n",
		`echo "$URL"`:                                   "app/red/$(NAME)/$(UNKNOWN)/10.1.2.3\n",
		`echo "$TOKEN|$CFG_plain"`:                      "own|p\n",
		`tr '\0' '\n' </proc/1/environ | grep dash`:     "CFG_with.dot-and dash=d\n",
		`echo "$WEB_SERVICE_HOST|$WEB_PORT_80_TCP"`:     "10.1.2.3|tcp://10.1.2.3:80\n",
	})
	b.prints("nolinks", map[string]string{`echo "${WEB_SERVICE_HOST-none}"`: "none\n"})
	for name, want := range map[string]string{"bad": "couldn't parse env file", "nokey": `environment variable key "NONE" not found in file "env"`} {
		if got := b.waiting(name, "CreateContainerConfigError"); got != want {
			t.Errorf("%s waits with %q, want %q", name, got, want)
		}
	}
}

// Files of a volume follow what they are made of: labels and annotations of the Pod, ConfigMaps that
// come later, modes as they are asked for.
func TestVolumes_FilesFollow(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	mode, wide, yes, group := int32(0o400), int32(0o644), true, int64(3000)
	ref := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	app := func(label string) *corev1.Pod {
		return pod("app", busyboxImage, volumes(func(p *corev1.Pod, c *corev1.Container) {
			p.Labels, p.Annotations = map[string]string{"l": label}, map[string]string{"a": label}
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}
		},
			corev1.Volume{Name: "down", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{DefaultMode: &mode, Items: []corev1.DownwardAPIVolumeFile{
				{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}, {Path: "deep/annotations", Mode: &wide, FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations"}},
				{Path: "cpu", ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: "main", Resource: "requests.cpu", Divisor: resource.MustParse("1m")}}}}}},
			corev1.Volume{Name: "later", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref("later"), Optional: &yes}}},
			corev1.Volume{Name: "sec", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "key", DefaultMode: &mode, Items: []corev1.KeyToPath{{Key: "TOKEN", Path: "d/token"}}}}}))
	}
	grouped := pod("grouped", busyboxImage, volumes(func(p *corev1.Pod, _ *corev1.Container) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
	},
		corev1.Volume{Name: "sec", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "key", DefaultMode: &mode}}}))
	binary := configMap("later", nil)
	b.world.adopt(t, b.cfg.Node, "c1", secret("key", map[string]string{"TOKEN": "s3"}), app("one"), grouped)
	b.isReady("app")
	b.isReady("grouped")
	b.prints("app", map[string]string{
		"cat /down/labels /down/deep/annotations /down/cpu":              "l=\"one\"a=\"one\"250",
		"stat -L -c %a /down/labels /down/deep/annotations /sec/d/token": "400\n644\n400\n",
		"ls /later | wc -l": "0\n",
	})
	b.prints("grouped", map[string]string{"stat -L -c %g:%a /sec/TOKEN": "3000:440\n"})
	binary.BinaryData = map[string][]byte{"bin": {0, 1, 2}}
	b.world.adopt(t, b.cfg.Node, "c2", app("two"), binary)
	b.printsSoon("app", "cat /down/labels; od -An -tx1 /later/bin 2>/dev/null", "l=\"two\" 00 01 02\n")
}
