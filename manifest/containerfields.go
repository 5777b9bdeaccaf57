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
			"restartPolicy":            works,
			"restartPolicyRules":       works,
			"securityContext":          works,
			"startupProbe":             works,
			"stdin":                    works,
			"stdinOnce":                works,
			"terminationMessagePath":   works,
			"terminationMessagePolicy": works,
			"tty":                      works,
			"volumeDevices":            notYet("block devices are"),
			"volumeMounts":             works,
			"workingDir":               works,
		}),
		rows[corev1.ContainerRestartRule](fields{"action": works, "exitCodes": works}),
		rows[corev1.ContainerRestartRuleOnExitCodes](fields{"operator": works, "values": works}),
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
			"procMount":                works,
			"readOnlyRootFilesystem":   works,
			"runAsGroup":               works,
			"runAsNonRoot":             works,
			"runAsUser":                works,
			"seLinuxOptions":           works,
			"seccompProfile":           works,
			"windowsOptions":           noEffect(noWindows),
		}),
		rows[corev1.Capabilities](fields{"add": works, "drop": works}),
		rows[corev1.ContainerResizePolicy](fields{"resourceName": works, "restartPolicy": works}),
		probeTables(),
		envTables(),
	)
}

func probeTables() map[reflect.Type]fields {
	return join(
		rows[corev1.Probe](fields{
			"exec":                          works,
			"failureThreshold":              works,
			"grpc":                          works,
			"httpGet":                       works,
			"initialDelaySeconds":           works,
			"periodSeconds":                 works,
			"successThreshold":              works,
			"tcpSocket":                     works,
			"terminationGracePeriodSeconds": works,
			"timeoutSeconds":                works,
		}),
		rows[corev1.ProbeHandler](fields{
			"exec":      works,
			"grpc":      works,
			"httpGet":   works,
			"tcpSocket": works,
		}),
		rows[corev1.ExecAction](fields{"command": works}),
		rows[corev1.HTTPGetAction](fields{"host": works, "httpHeaders": works, "path": works, "port": works, "scheme": works}),
		rows[corev1.HTTPHeader](fields{"name": works, "value": works}),
		rows[corev1.TCPSocketAction](fields{"host": works, "port": works}),
		rows[corev1.GRPCAction](fields{"port": works, "service": works}),
		rows[corev1.SleepAction](fields{"seconds": works}),
		rows[corev1.Lifecycle](fields{
			"postStart":  works,
			"preStop":    works,
			"stopSignal": works,
		}),
		rows[corev1.LifecycleHandler](fields{
			"exec":      works,
			"httpGet":   works,
			"sleep":     works,
			"tcpSocket": works,
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
			"fileKeyRef":       works,
			"resourceFieldRef": works,
			"secretKeyRef":     works,
		}),
		rows[corev1.ConfigMapKeySelector](key),
		rows[corev1.SecretKeySelector](key),
		rows[corev1.FileKeySelector](fields{"key": works, "optional": works, "path": works, "volumeName": works}),
		rows[corev1.ObjectFieldSelector](fields{"apiVersion": works, "fieldPath": works}),
		rows[corev1.ResourceFieldSelector](fields{"containerName": works, "divisor": works, "resource": works}),
		rows[corev1.EnvFromSource](fields{"configMapRef": works, "prefix": works, "secretRef": works}),
		rows[corev1.ConfigMapEnvSource](from),
		rows[corev1.SecretEnvSource](from),
	)
}
