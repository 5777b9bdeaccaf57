package advice_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"writ/manifest"
	"writ/manifest/advice"
)

// good follows every rule.
const good = `apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue, tokens: "3"}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {}
spec:
  replicas: 2
  minReadySeconds: 5
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true}
      containers:
      - name: web
        image: registry.example:5000/web:1.2
        ports: [{containerPort: 80}]
        env: [{name: COLOR, value: blue}, {name: PASSWORD, value: ""}]
        readinessProbe: {httpGet: {path: /, port: 80}}
        livenessProbe: {httpGet: {path: /, port: 80}}
        resources: {requests: {cpu: 10m, memory: 10Mi}, limits: {memory: 10Mi}}
        securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumes: [{name: login, secret: {secretName: login}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec:
      automountServiceAccountToken: false
      restartPolicy: OnFailure
      securityContext: {runAsUser: 5}
      containers:
      - name: once
        image: example.com/once@sha256:0123456789012345678901234567890123456789012345678901234567890123
        resources: {requests: {cpu: 10m, memory: 10Mi}, limits: {memory: 10Mi}}
        securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

func load(t *testing.T, text string) *manifest.Set {
	t.Helper()
	set, err := manifest.Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// lines are findings, one a line.
func lines(t *testing.T, text string) string {
	t.Helper()
	var all []string
	for _, f := range advice.Of(load(t, text)) {
		if f.Why == "" {
			t.Errorf("no reason: %+v", f)
		}
		all = append(all, f.Rule+" "+f.Ref.String()+" "+f.Field+": "+f.What)
	}
	return strings.Join(all, "\n")
}

const (
	web       = "Deployment/default/web "
	container = web + "spec.template.spec.containers[0]"
)

// Each case changes one thing of a commit that follows every rule: exactly one finding comes of it.
var cases = []struct{ name, old, now, want string }{
	{"nothing", "", "", ""},
	{"no readiness", "        readinessProbe: {httpGet: {path: /, port: 80}}\n", "", "no-readiness-probe " + container + ": container web has no readinessProbe and a Service selects it"},
	{"no readiness, no ports", "        ports: [{containerPort: 80}]\n        env: [{name: COLOR, value: blue}, {name: PASSWORD, value: \"\"}]\n        readinessProbe: {httpGet: {path: /, port: 80}}\n", "",
		"no-readiness-probe " + container + ": container web has no readinessProbe and a Service selects it"},
	{"no readiness, and no Service", "selector: {app: web}, ports: [{port: 80}]}\n---\n", "ports: [{port: 80}]}\n---\n", ""},
	{"no liveness", "        livenessProbe: {httpGet: {path: /, port: 80}}\n        resources: {requests", "        resources: {requests", "no-liveness-probe " + container + ": container web has no livenessProbe"},
	{"no requests", "requests: {cpu: 10m, memory: 10Mi}, limits: {memory: 10Mi}}\n        securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes", "requests: {memory: 10Mi}, limits: {memory: 10Mi}}\n        securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes",
		"no-requests " + container + ": container web requests no cpu"},
	{"no limits", "limits: {memory: 10Mi}}\n        securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes", "limits: {cpu: 10m}}\n        securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes",
		"no-limits " + container + ": container web has no memory limit"},
	{"no tag", "web:1.2", "web", "latest-tag " + container + ".image: image registry.example:5000/web has no tag, which means latest"},
	{"latest", "web:1.2", "web:latest", "latest-tag " + container + ".image: image registry.example:5000/web:latest"},
	{"a secret in a variable", "{name: COLOR, value: blue}", "{name: DB_PASSWORD, value: s3cret}", "plain-secret " + container + ".env[0]: variable DB_PASSWORD looks like a secret in clear text"},
	{"a secret in a ConfigMap", "color: blue", "api-key: s3cret", "plain-secret ConfigMap/default/settings data[api-key]: api-key looks like a secret in clear text"},
	{"a secret in another key", "color: blue", "dbPassword: s3cret", "plain-secret ConfigMap/default/settings data[dbPassword]: dbPassword looks like a secret in clear text"},
	{"a reference is no secret", "{name: COLOR, value: blue}", "{name: X_TOKEN, value: $(COLOR)}", ""},
	{"a Secret in a variable", "{name: COLOR, value: blue}", "{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: login, key: a, optional: true}}}",
		"secret-in-env " + container + ".env[0]: variable DB_PASSWORD comes from Secret login"},
	{"a Secret as variables", "        env: [{name: COLOR", "        envFrom: [{secretRef: {name: login}}]\n        env: [{name: COLOR", "secret-in-env " + container + ".envFrom[0]: all of Secret login becomes variables of container web"},
	{"root", "      securityContext: {runAsNonRoot: true}\n", "", "runs-as-root " + container + ": container web may run as root"},
	{"root for one container", "{readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes", "{runAsNonRoot: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes", "runs-as-root " + container + ": container web may run as root"},
	{"capabilities", "capabilities: {drop: [ALL]}}\n      volumes", "capabilities: {drop: [NET_RAW]}}\n      volumes", "keeps-capabilities " + container + ": container web keeps the default capabilities"},
	{"privileged", "{readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes", "{privileged: true, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes", "privileged " + container + ".securityContext.privileged: container web is privileged"},
	{"writable", "{readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n      volumes", "{capabilities: {drop: [ALL]}}\n      volumes", "writable-root " + container + ": container web can write to its root file system"},
	{"host network", "      automountServiceAccountToken: false\n      securityContext: {runAsNonRoot", "      hostNetwork: true\n      automountServiceAccountToken: false\n      securityContext: {runAsNonRoot", "host-access " + web + "spec.template.spec.hostNetwork: the pod uses hostNetwork"},
	{"host path", "secret: {secretName: login}", "hostPath: {path: /data}", "host-access " + web + "spec.template.spec.volumes[0]: volume login is a hostPath"},
	{"host port", "{containerPort: 80}", "{containerPort: 80, hostPort: 80}", "host-access " + container + ".ports[0]: container web takes port 80 of the node"},
	{"token", "      automountServiceAccountToken: false\n      securityContext: {runAsNonRoot", "      securityContext: {runAsNonRoot", "token-mount " + web + "spec.template.spec: the pod gets a token of the API"},
	{"no token by its account", "---\napiVersion: apps/v1", "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}, automountServiceAccountToken: false}\n---\napiVersion: apps/v1", ""},
	{"one replica", "replicas: 2", "replicas: 1", "single-replica " + web + "spec.replicas: one replica stands behind a Service"},
	{"one replica at first", "replicas: 2\n", "replicas: 1\n", "single-replica " + web + "spec.replicas: one replica stands behind a Service"},
	{"an autoscaler's replicas", "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations: {}\nspec:\n  replicas: 2",
		"---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {minReplicas: 2, maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations: {}\nspec:", ""},
	{"replicas of an autoscaler with a target in an old version", "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations: {}\nspec:\n  replicas: 2",
		"---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {minReplicas: 2, maxReplicas: 3, scaleTargetRef: {apiVersion: extensions/v1beta1, kind: Deployment, name: web}}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations: {}\nspec:", ""},
	{"minReadySeconds", "  minReadySeconds: 5\n", "", "no-min-ready-seconds " + web + "spec: a pod counts as available at the moment when it is ready"},
	{"minReadySeconds of what is replaced whole", "  minReadySeconds: 5\n", "  strategy: {type: Recreate}\n", ""},
	{"Never", "restartPolicy: OnFailure", "restartPolicy: Never", "job-restart-never Job/default/once spec.template.spec.restartPolicy: restartPolicy: Never"},
	{"a pod for ever", "kind: Job\nmetadata: {name: once}\nspec:\n  template:\n    spec:\n      automountServiceAccountToken: false\n      restartPolicy: OnFailure\n", "kind: Pod\nmetadata: {name: once}\nspec:\n      automountServiceAccountToken: false\n",
		"bare-pod Pod/default/once : a pod of its own\nno-liveness-probe Pod/default/once spec.containers[0]: container once has no livenessProbe"},
	{"a pod that ends", "kind: Job\nmetadata: {name: once}\nspec:\n  template:\n    spec:\n      automountServiceAccountToken: false\n", "kind: Pod\nmetadata: {name: once}\nspec:\n      automountServiceAccountToken: false\n", ""},
	{"silenced", "  annotations: {}\nspec:\n  replicas: 2", "  annotations: {writ.dev/ignore-advice: 'latest-tag, single-replica'}\nspec:\n  replicas: 1", ""},
	{"another one is silenced", "  annotations: {}\nspec:\n  replicas: 2", "  annotations: {writ.dev/ignore-advice: latest-tag}\nspec:\n  replicas: 1", "single-replica " + web + "spec.replicas: one replica stands behind a Service"},
	{"all silenced", "  annotations: {}\nspec:\n  replicas: 2\n  minReadySeconds: 5", "  annotations: {writ.dev/ignore-advice: all}\nspec:\n  replicas: 1", ""},
	{"an unknown rule", "  annotations: {}", "  annotations: {writ.dev/ignore-advice: no-probes}", `ignore-advice ` + web + `metadata.annotations[writ.dev/ignore-advice]: there is no rule "no-probes"`},
}

func TestOf(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text := good
			if c.old != "" {
				if n := strings.Count(good, c.old); n != 1 {
					t.Fatalf("%q is %d times in the commit", c.old, n)
				}
				text = strings.Replace(good, c.old, c.now, 1)
			}
			text = strings.Replace(text, "apiVersion: batch/v1\nkind: Pod", "apiVersion: v1\nkind: Pod", 1)
			if got := lines(t, text); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// Every rule has a name that can stand in an annotation, a reason, and a case above that breaks it.
func TestRules(t *testing.T) {
	names := map[string]bool{}
	for _, r := range advice.Rules() {
		if names[r.Name] || strings.Trim(r.Name, "abcdefghijklmnopqrstuvwxyz-") != "" || len(r.Why) < 20 || strings.HasSuffix(r.Why, ".") {
			t.Errorf("rule %q: %q", r.Name, r.Why)
		}
		names[r.Name] = true
		broken := false
		for _, c := range cases {
			broken = broken || strings.HasPrefix(c.want, r.Name+" ")
		}
		if !broken {
			t.Errorf("no case breaks the rule %s", r.Name)
		}
	}
}

// keys open every document, whose one encrypted value is an image; without keys there is a stand-in.
type keys struct{ manifest.Sealed }

func (keys) Decrypt(e manifest.Encrypted) (manifest.Clear, error) {
	text, _, _ := strings.Cut(strings.ReplaceAll(string(e.Data), cipher, "hidden/name"), "sops:")
	return manifest.Clear{Text: []byte(text), Secrecy: manifest.Secrecy{Values: []string{"hidden/name"}}}, nil
}

const cipher = "ENC[AES256_GCM,data:x,type:str]"

// Advice repeats nothing that was encrypted, and there is none about what nobody could read.
func TestOf_Encrypted(t *testing.T) {
	const sealed = "sops: {mac: x}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: plain}}\n"
	text := "apiVersion: batch/v1\n" + good[strings.Index(good, "kind: Job"):] + sealed
	text = strings.Replace(text, "example.com/once@sha256:0123456789012345678901234567890123456789012345678901234567890123", "'"+cipher+"'", 1)
	for _, test := range []struct {
		keys manifest.Decrypter
		want string
	}{
		{keys{}, "latest-tag: image (not shown) has no tag, which means latest\n"},
		{manifest.Sealed{}, ""},
	} {
		set, err := manifest.Loader{Decrypter: test.keys}.Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range advice.Of(set) {
			got += f.Rule + ": " + f.What + "\n"
		}
		if got != test.want {
			t.Errorf("%T: got %q, want %q", test.keys, got, test.want)
		}
	}
}
