package manifest

import (
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

// tables is what is done about every field of the acted-on kinds, by upstream's type. A test walks the
// types and fails on a field that is missing here.
var tables = allTables()

func allTables() map[reflect.Type]fields {
	all := map[reflect.Type]fields{}
	for _, t := range []map[reflect.Type]fields{podTables(), placementTables(), containerTables(), volumeTables(), storageTables(), kindTables(), serviceTables()} {
		maps.Copy(all, t)
	}
	return all
}

// rows names the table of a type.
func rows[T any](f fields) map[reflect.Type]fields {
	return map[reflect.Type]fields{reflect.TypeFor[T](): f}
}

func join(tables ...map[reflect.Type]fields) map[reflect.Type]fields {
	all := map[reflect.Type]fields{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

const noWindows = "nodes run Linux, where Kubernetes does not look at it either"

func podTables() map[reflect.Type]fields {
	return join(
		rows[corev1.PodTemplateSpec](fields{"metadata": works, "spec": works}),
		rows[corev1.PodSpec](fields{
			"activeDeadlineSeconds":         works,
			"affinity":                      works,
			"automountServiceAccountToken":  works,
			"containers":                    works,
			"dnsConfig":                     works,
			"dnsPolicy":                     works,
			"enableServiceLinks":            works,
			"ephemeralContainers":           noEffect("Kubernetes takes them for a running pod only, and refuses them in a manifest"),
			"hostAliases":                   works,
			"hostIPC":                       works,
			"hostNetwork":                   works,
			"hostPID":                       works,
			"hostUsers":                     works,
			"hostname":                      works,
			"hostnameOverride":              works,
			"imagePullSecrets":              works,
			"initContainers":                works,
			"nodeName":                      works,
			"nodeSelector":                  works,
			"os":                            works,
			"overhead":                      works,
			"preemptionPolicy":              noEffect("nothing is preempted yet"),
			"priority":                      works,
			"priorityClassName":             works,
			"readinessGates":                works,
			"resourceClaims":                notYet("resource claims are"),
			"resources":                     works,
			"restartPolicy":                 works,
			"runtimeClassName":              works,
			"schedulerName":                 notYet("a scheduler of one's own is", corev1.DefaultSchedulerName),
			"schedulingGates":               works,
			"schedulingGroup":               notYet("scheduling groups are"),
			"securityContext":               works,
			"serviceAccount":                works,
			"serviceAccountName":            works,
			"setHostnameAsFQDN":             works,
			"shareProcessNamespace":         works,
			"subdomain":                     works,
			"terminationGracePeriodSeconds": works,
			"tolerations":                   works,
			"topologySpreadConstraints":     notYet("spreading over topologies is"),
			"volumes":                       works,
		}),
		rows[corev1.PodReadinessGate](fields{"conditionType": works}),
		rows[corev1.PodOS](fields{"name": worksOnly("an operating system other than linux is", "linux")}),
		rows[corev1.LocalObjectReference](fields{"name": works}),
		rows[corev1.HostAlias](fields{"ip": works, "hostnames": works}),
		rows[corev1.PodDNSConfig](fields{"nameservers": works, "searches": works, "options": works}),
		rows[corev1.PodDNSConfigOption](fields{"name": works, "value": works}),
		rows[corev1.Toleration](fields{"effect": works, "key": works, "operator": works, "tolerationSeconds": works, "value": works}),
		rows[corev1.PodSecurityContext](fields{
			"appArmorProfile":          works,
			"fsGroup":                  works,
			"fsGroupChangePolicy":      noEffect("Kubernetes heeds it for persistent volumes only: ownership of the others is always changed"),
			"runAsGroup":               works,
			"runAsNonRoot":             works,
			"runAsUser":                works,
			"seLinuxChangePolicy":      noEffect("volumes are relabelled, none is mounted with a label"),
			"seLinuxOptions":           works,
			"seccompProfile":           works,
			"supplementalGroups":       works,
			"supplementalGroupsPolicy": works,
			"sysctls":                  works,
			"windowsOptions":           noEffect(noWindows),
		}),
		rows[corev1.SeccompProfile](fields{
			"localhostProfile": works,
			"type":             works,
		}),
		rows[corev1.AppArmorProfile](fields{
			"localhostProfile": works,
			"type":             works,
		}),
		rows[corev1.SELinuxOptions](fields{"level": works, "role": works, "type": works, "user": works}),
		rows[corev1.Sysctl](fields{"name": works, "value": works}),
	)
}
