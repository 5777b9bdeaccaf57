package manifest

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

func volumeTables() map[reflect.Type]fields {
	volume := fields{
		"configMap":             works,
		"csi":                   notYet("a CSI volume is"),
		"downwardAPI":           works,
		"emptyDir":              works,
		"ephemeral":             works,
		"hostPath":              works,
		"image":                 works,
		"iscsi":                 notYet("an iSCSI volume is"),
		"nfs":                   works,
		"persistentVolumeClaim": works,
		"projected":             works,
		"secret":                works,
	}
	for _, old := range []string{"awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker",
		"gcePersistentDisk", "gitRepo", "glusterfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"} {
		volume[old] = notYet("a volume of type " + old + " is")
	}
	items := fields{"defaultMode": works, "items": works, "name": works, "optional": works}
	projection := fields{"items": works, "name": works, "optional": works}
	return join(
		rows[corev1.Volume](fields{"name": works}),
		rows[corev1.VolumeSource](volume),
		rows[corev1.EmptyDirVolumeSource](fields{
			"medium":    works,
			"sizeLimit": works,
		}),
		rows[corev1.ImageVolumeSource](fields{"pullPolicy": works, "reference": works}),
		rows[corev1.NFSVolumeSource](fields{"path": works, "readOnly": works, "server": works}),
		rows[corev1.HostPathVolumeSource](fields{"path": works, "type": works}),
		rows[corev1.ConfigMapVolumeSource](items),
		rows[corev1.SecretVolumeSource](fields{"defaultMode": works, "items": works, "optional": works, "secretName": works}),
		rows[corev1.KeyToPath](fields{"key": works, "mode": works, "path": works}),
		rows[corev1.DownwardAPIVolumeSource](fields{"defaultMode": works, "items": works}),
		rows[corev1.DownwardAPIVolumeFile](fields{"fieldRef": works, "mode": works, "path": works, "resourceFieldRef": works}),
		rows[corev1.ProjectedVolumeSource](fields{"defaultMode": works, "sources": works}),
		rows[corev1.VolumeProjection](fields{
			"clusterTrustBundle":  notYet("a projected trust bundle is"),
			"configMap":           works,
			"downwardAPI":         works,
			"podCertificate":      notYet("a projected pod certificate is"),
			"secret":              works,
			"serviceAccountToken": works,
		}),
		rows[corev1.ServiceAccountTokenProjection](fields{"audience": works, "expirationSeconds": works, "path": works}),
		rows[corev1.ConfigMapProjection](projection),
		rows[corev1.SecretProjection](projection),
		rows[corev1.DownwardAPIProjection](fields{"items": works}),
		rows[corev1.VolumeMount](fields{
			"mountPath":         works,
			"mountPropagation":  works,
			"name":              works,
			"readOnly":          works,
			"recursiveReadOnly": works,
			"subPath":           works,
			"subPathExpr":       works,
		}),
	)
}
