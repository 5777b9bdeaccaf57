package manifest

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// walkTypes calls f for every struct type below t that the tables lead into.
func walkTypes(t reflect.Type, seen map[reflect.Type]bool, f func(reflect.Type)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || decodesItself(t) || seen[t] {
		return
	}
	seen[t] = true
	f(t)
	for i := range t.NumField() {
		name, inline := jsonName(t.Field(i))
		if inline || tables[t][name].support == actedOn {
			walkTypes(t.Field(i).Type, seen, f)
		}
	}
}

func TestTables_ListEveryFieldOfEveryActedKind(t *testing.T) {
	seen := map[reflect.Type]bool{}
	for gk, k := range kinds {
		if !k.acted {
			continue
		}
		walkTypes(reflect.TypeOf(k.empty()), seen, func(typ reflect.Type) {
			listed := tables[typ]
			if listed == nil {
				t.Errorf("%s: %s has no table", gk.Kind, typ)
			}
			has := map[string]reflect.Type{}
			jsonFields(typ, has)
			for name := range has {
				if listed != nil && listed[name].support == unlisted && !inlined(typ, name) {
					t.Errorf("%s: field %q of %s is in no table: is it acted on, without effect, or not yet?", gk.Kind, name, typ)
				}
			}
			for name, u := range listed {
				if has[name] == nil {
					t.Errorf("%s: %s has no field %q, which its table lists", gk.Kind, typ, name)
				}
				if u.support != actedOn && u.reason == "" {
					t.Errorf("%s: field %q of %s gives no reason", gk.Kind, name, typ)
				}
			}
		})
	}
	for typ := range tables {
		if !seen[typ] {
			t.Errorf("no acted-on kind leads to the table of %s", typ)
		}
	}
}

// inlined tells whether the field belongs to a struct whose fields stand in place of it.
func inlined(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		if _, inline := jsonName(t.Field(i)); inline {
			has := map[string]reflect.Type{}
			jsonFields(t.Field(i).Type, has)
			if has[name] != nil {
				return true
			}
		}
	}
	return false
}

func TestNotYet(t *testing.T) {
	for _, test := range []struct{ name, manifest, want string }{
		{"plain", web, ""},
		{"init containers", "spec: {initContainers: [{name: i, image: i, restartPolicy: Always}], activeDeadlineSeconds: 5, readinessGates: [{conditionType: a/b}], containers: [{name: c, image: c}]}", ""},
		{"values that ask for nothing", "spec: {schedulerName: default-scheduler, shareProcessNamespace: false, hostUsers: true, containers: [{name: c, image: c, securityContext: {procMount: Default}}]}", ""},
		{"scheduler", "spec: {schedulerName: mine, containers: [{name: c, image: c}]}", "spec.schedulerName: a scheduler of one's own is not supported yet"},
		{"container", `spec: {containers: [{name: a, image: a}, {name: c, image: c, stdin: true, tty: true, ports: [{containerPort: 80, hostPort: 8080, hostIP: "fd00::1"}], resources: {limits: {cpu: 1, ephemeral-storage: 1Gi}}}]}`,
			`spec.containers[1].ports[0].hostIP: a port at an IPv6 address of the node is not supported yet`},
		{"security", "spec: {hostUsers: false, shareProcessNamespace: true, setHostnameAsFQDN: true, securityContext: {seccompProfile: {type: Localhost, localhostProfile: x.json}, seLinuxOptions: {level: s0}, sysctls: [{name: a.b, value: c}], supplementalGroupsPolicy: Strict}, containers: [{name: c, image: c, securityContext: {procMount: Unmasked, appArmorProfile: {type: Localhost, localhostProfile: x}}}]}", ""},
		{"hooks", "spec: {containers: [{name: c, image: c, lifecycle: {preStop: {sleep: {seconds: 1}}, postStart: {sleep: {seconds: 1}}, stopSignal: SIGUSR1}}]}", ""},
		{"probes", "spec: {containers: [{name: c, image: c, livenessProbe: {grpc: {port: 1}, terminationGracePeriodSeconds: 3}, readinessProbe: {tcpSocket: {port: 1}}}]}", ""},
		{"volumes", `spec: {serviceAccountName: x, containers: [{name: c, image: c, volumeMounts: [{name: a, mountPath: /a, subPath: x}]}],
  volumes: [{name: a, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: b, emptyDir: {sizeLimit: 1Mi}}, {name: c, nfs: {server: s, path: /p}}, {name: d, emptyDir: {}},
  {name: e, projected: {sources: [{configMap: {name: x}}, {serviceAccountToken: {path: t}}]}}, {name: f, emptyDir: {medium: HugePages-2Mi}}, {name: g, image: {reference: x}},
  {name: h, persistentVolumeClaim: {claimName: x}}, {name: i, csi: {driver: x.y}}]}`,
			`spec.volumes[8].csi: a CSI volume is not supported yet`},
		{"a block device", "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {volumeMode: Block, dataSource: {kind: PersistentVolumeClaim, name: d}, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}",
			"spec.volumeMode: Block: a raw block volume is not supported yet\nspec.dataSource: a volume made from another one is not supported yet"},
		{"a class of this cluster", "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: c}\nprovisioner: writ.dev/local\nparameters: {a: b}", "parameters: a parameter of writ.dev/local is not supported yet"},
		{"a class of others", "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: c}\nprovisioner: a.b/c\nparameters: {a: b}", ""},
		{"service", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: LoadBalancer, externalIPs: [1.2.3.4], ports: [{name: a, port: 80}, {name: b, port: 81, protocol: UDP}, {name: c, port: 82, protocol: SCTP}]}",
			`spec.ports[2].protocol: SCTP: SCTP is not supported yet
spec.externalIPs: external addresses are not supported yet`},
		{"a kind that is not acted on", "apiVersion: v1\nkind: PodTemplate\nmetadata: {name: s}\ntemplate: {spec: {restartPolicy: Never, schedulerName: mine, containers: [{name: c, image: c}]}}", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			manifest := test.manifest
			if !strings.HasPrefix(manifest, "apiVersion") {
				manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n" + manifest
			}
			f := mustRead("x.yaml", "", []byte(manifest))
			var lines []string
			for _, p := range f.objects {
				for _, u := range NotYet(p.Object) {
					lines = append(lines, u.Path+": "+u.Reason)
				}
			}
			if len(f.mistakes) > 0 {
				t.Fatalf("mistakes:\n%v", f.mistakes)
			}
			if got := strings.Join(lines, "\n"); !slices.Equal(sortedLines(got), sortedLines(test.want)) {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

func sortedLines(text string) []string { return slices.Sorted(strings.SplitSeq(text, "\n")) }

func BenchmarkNotYet(b *testing.B) {
	obj := mustRead("x.yaml", "", []byte(web)).objects[0].Object
	for b.Loop() {
		if len(NotYet(obj)) > 0 {
			b.Fatal("uses")
		}
	}
}
