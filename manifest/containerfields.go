package manifest

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

func containerTables() map[reflect.Type]fields {
	return join(
		rows[corev1.Container](fields{
			"args":                     works,
			"command":                  works,
			"env":                      works,
			"envFrom":                  works,
			"image":                    works,
			"imagePullPolicy":          works,
			"lifecycle":                works,
			"livenessProbe":            works,
			"name":                     works,
			"ports":                    works,
			"readinessProbe":           works,
			"resizePolicy":             works,
			"resources":                works,
			"restartPolicy":            notYet("a restart policy of one container is"),
			"restartPolicyRules":       notYet("restart rules of one container are"),
			"securityContext":          works,
			"startupProbe":             works,
			"stdin":                    notYet("standard input is"),
			"stdinOnce":                notYet("standard input is"),
			"terminationMessagePath":   works,
			"terminationMessagePolicy": works,
			"tty":                      notYet("a terminal is"),
			"volumeDevices":            notYet("block devices are"),
			"volumeMounts":             works,
			"workingDir":               works,
		}),
		rows[corev1.ContainerPort](fields{
			"containerPort": works,
			"hostIP":        {support: actedOn, when: hostAddress},
			"hostPort":      works,
			"name":          works,
			"protocol":      works.but("SCTP is", string(corev1.ProtocolSCTP)),
		}),
		rows[corev1.ResourceRequirements](fields{
			"claims":   notYet("resource claims are"),
			"limits":   works,
			"requests": works,
		}),
		rows[corev1.SecurityContext](fields{
			"allowPrivilegeEscalation": works,
			"appArmorProfile":          works,
			"capabilities":             works,
			"privileged":               works,
			"procMount":                notYet("an unmasked /proc is", string(corev1.DefaultProcMount)),
			"readOnlyRootFilesystem":   works,
			"runAsGroup":               works,
			"runAsNonRoot":             works,
			"runAsUser":                works,
			"seLinuxOptions":           noEffect("nodes of Writ do not use SELinux"),
			"seccompProfile":           works,
			"windowsOptions":           notYet("Windows is"),
		}),
		rows[corev1.Capabilities](fields{"add": works, "drop": works}),
		probeTables(),
		envTables(),
	)
}

func probeTables() map[reflect.Type]fields {
	postStart := works
	postStart.without = map[string]string{"sleep": "sleeping after the start is not supported yet"}
	return join(
		rows[corev1.Probe](fields{
			"exec":                          works,
			"failureThreshold":              works,
			"grpc":                          notYet("a gRPC probe is"),
			"httpGet":                       works,
			"initialDelaySeconds":           works,
			"periodSeconds":                 works,
			"successThreshold":              works,
			"tcpSocket":                     works,
			"terminationGracePeriodSeconds": notYet("a grace period of a probe's own is"),
			"timeoutSeconds":                works,
		}),
		rows[corev1.ProbeHandler](fields{
			"exec":      works,
			"grpc":      notYet("a gRPC probe is"),
			"httpGet":   works,
			"tcpSocket": works,
		}),
		rows[corev1.ExecAction](fields{"command": works}),
		rows[corev1.HTTPGetAction](fields{"host": works, "httpHeaders": works, "path": works, "port": works, "scheme": works}),
		rows[corev1.HTTPHeader](fields{"name": works, "value": works}),
		rows[corev1.TCPSocketAction](fields{"host": works, "port": works}),
		rows[corev1.SleepAction](fields{"seconds": works}),
		rows[corev1.Lifecycle](fields{
			"postStart":  postStart,
			"preStop":    works,
			"stopSignal": notYet("a stop signal of one's own is"),
		}),
		rows[corev1.LifecycleHandler](fields{
			"exec":      works,
			"httpGet":   works,
			"sleep":     works,
			"tcpSocket": notYet("a TCP hook, which fails in Kubernetes too, is"),
		}),
	)
}

func envTables() map[reflect.Type]fields {
	key := fields{"key": works, "name": works, "optional": works}
	from := fields{"name": works, "optional": works}
	return join(
		rows[corev1.EnvVar](fields{"name": works, "value": works, "valueFrom": works}),
		rows[corev1.EnvVarSource](fields{
			"configMapKeyRef":  works,
			"fieldRef":         works,
			"fileKeyRef":       notYet("a variable from a file is"),
			"resourceFieldRef": works,
			"secretKeyRef":     works,
		}),
		rows[corev1.ConfigMapKeySelector](key),
		rows[corev1.SecretKeySelector](key),
		rows[corev1.ObjectFieldSelector](fields{"apiVersion": works, "fieldPath": works}),
		rows[corev1.ResourceFieldSelector](fields{"containerName": works, "divisor": works, "resource": works}),
		rows[corev1.EnvFromSource](fields{"configMapRef": works, "prefix": works, "secretRef": works}),
		rows[corev1.ConfigMapEnvSource](from),
		rows[corev1.SecretEnvSource](from),
	)
}
