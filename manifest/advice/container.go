package advice

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// containerRules look at one container at a time.
var containerRules = []Rule{
	{"no-readiness-probe", "without one it gets requests before it can answer them, and a rollout goes on whether the new version works or not", noReadiness},
	{"no-liveness-probe", "without one a container that hangs is never restarted", noLiveness},
	{"no-requests", "without them it is placed as if it needed nothing, and starves with its neighbours", noRequests},
	{"no-limits", "without one a leak takes the memory of everything else on the node", noLimits},
	{"latest-tag", "what runs then depends on when it was pulled and cannot be rolled back; name a version or a digest", latestTag},
	{"plain-secret", "whoever reads the repository or describes the pod reads it; use a Secret", plainSecret},
	{"secret-in-env", "variables reach every child process and many logs; mount the Secret as a volume", secretInEnv},
	{"runs-as-root", "a way out of the container is then a way to root on the node; set runAsNonRoot", runsAsRoot},
	{"keeps-capabilities", "few programs need any; set securityContext.capabilities.drop: [ALL]", keepsCapabilities},
	{"privileged", "it can do everything that root on the node can", privileged},
	{"writable-root", "what breaks in can change the program; set readOnlyRootFilesystem and mount a volume where files are written", writableRoot},
}

func noReadiness(o *object) {
	if !o.lasting() || !o.served() {
		return
	}
	declared := false // some container says which of them serves
	o.containers(func(c *corev1.Container, _ string) { declared = declared || len(c.Ports) > 0 })
	o.containers(func(c *corev1.Container, at string) {
		if c.ReadinessProbe == nil && (len(c.Ports) > 0 || !declared) {
			o.say(at, "container %s has no readinessProbe and a Service selects it", c.Name)
		}
	})
}

func noLiveness(o *object) {
	if !o.lasting() {
		return
	}
	o.containers(func(c *corev1.Container, at string) {
		if c.LivenessProbe == nil {
			o.say(at, "container %s has no livenessProbe", c.Name)
		}
	})
}

func noRequests(o *object) {
	o.containers(func(c *corev1.Container, at string) {
		var missing []string
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if _, given := c.Resources.Requests[name]; !given {
				missing = append(missing, string(name))
			}
		}
		if len(missing) > 0 {
			o.say(at, "container %s requests no %s", c.Name, strings.Join(missing, " and no "))
		}
	})
}

func noLimits(o *object) {
	o.containers(func(c *corev1.Container, at string) {
		if _, given := c.Resources.Limits[corev1.ResourceMemory]; !given {
			o.say(at, "container %s has no memory limit", c.Name)
		}
	})
}

func latestTag(o *object) {
	o.everyContainer(func(c *corev1.Container, at string) {
		if strings.Contains(c.Image, "@") {
			return
		}
		name := c.Image[strings.LastIndexByte(c.Image, '/')+1:]
		switch _, tag, tagged := strings.Cut(name, ":"); {
		case !tagged:
			o.say(at+".image", "image %s has no tag, which means latest", c.Image)
		case tag == "latest":
			o.say(at+".image", "image %s", c.Image)
		}
	})
}

// secretName matches names of variables and keys that hold secrets, as they are usually named.
var secretName = regexp.MustCompile(`(?i:password|passwd|passphrase)$` +
	`|(^|[_.-])(?i:secret|token|credentials?|(api|access|private)[_-]?key)$` +
	`|[a-z0-9](Secret|Token|Credentials?|(Api|Access|Private)Key)$`)

func plainSecret(o *object) {
	o.everyContainer(func(c *corev1.Container, at string) {
		for i, e := range c.Env {
			if e.Value != "" && e.ValueFrom == nil && secretName.MatchString(e.Name) && !strings.Contains(e.Value, "$(") {
				o.say(index(at+".env", i), "variable %s looks like a secret in clear text", e.Name)
			}
		}
	})
	if m, ok := o.Object.(*corev1.ConfigMap); ok {
		for _, key := range sortedKeys(m.Data) {
			if m.Data[key] != "" && secretName.MatchString(key) {
				o.say("data["+key+"]", "%s looks like a secret in clear text", key)
			}
		}
	}
}

func secretInEnv(o *object) {
	o.everyContainer(func(c *corev1.Container, at string) {
		for i, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				o.say(index(at+".env", i), "variable %s comes from Secret %s", e.Name, e.ValueFrom.SecretKeyRef.Name)
			}
		}
		for i, e := range c.EnvFrom {
			if e.SecretRef != nil {
				o.say(index(at+".envFrom", i), "all of Secret %s becomes variables of container %s", e.SecretRef.Name, c.Name)
			}
		}
	})
}

// security is a container's own context, never nil.
func security(c *corev1.Container) *corev1.SecurityContext {
	if c.SecurityContext == nil {
		return &corev1.SecurityContext{}
	}
	return c.SecurityContext
}

func runsAsRoot(o *object) {
	o.everyContainer(func(c *corev1.Container, at string) {
		nonRoot, user := security(c).RunAsNonRoot, security(c).RunAsUser
		if p := o.pods.SecurityContext; p != nil {
			if nonRoot == nil {
				nonRoot = p.RunAsNonRoot
			}
			if user == nil {
				user = p.RunAsUser
			}
		}
		if (nonRoot == nil || !*nonRoot) && (user == nil || *user == 0) {
			o.say(at, "container %s may run as root", c.Name)
		}
	})
}

func keepsCapabilities(o *object) {
	o.everyContainer(func(c *corev1.Container, at string) {
		if caps := security(c).Capabilities; caps != nil {
			for _, dropped := range caps.Drop {
				if strings.EqualFold(string(dropped), "ALL") {
					return
				}
			}
		}
		o.say(at, "container %s keeps the default capabilities", c.Name)
	})
}

func privileged(o *object) {
	o.everyContainer(func(c *corev1.Container, at string) {
		if p := security(c).Privileged; p != nil && *p {
			o.say(at+".securityContext.privileged", "container %s is privileged", c.Name)
		}
	})
}

func writableRoot(o *object) {
	o.everyContainer(func(c *corev1.Container, at string) {
		if r := security(c).ReadOnlyRootFilesystem; r == nil || !*r {
			o.say(at, "container %s can write to its root file system", c.Name)
		}
	})
}
