package manifest

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// localProvisioner is the only provisioner that is part of a cluster.
const localProvisioner = "writ.dev/local"

// localClass is the class of it that is always there.
const localClass = "local"

func storageTables() map[reflect.Type]fields {
	whole := fields{"metadata": works, "spec": works, "status": noEffect(clusterSets)}
	source := fields{"hostPath": works, "local": works, "nfs": works}
	for _, t := range []string{"awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker", "gcePersistentDisk", "glusterfs",
		"iscsi", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"} {
		source[t] = notYet("a volume of type " + t + " is")
	}
	return join(
		rows[corev1.PersistentVolumeClaim](whole),
		rows[corev1.PersistentVolumeClaimSpec](fields{
			"accessModes":               works,
			"dataSource":                notYet("a volume made from another one is"),
			"dataSourceRef":             notYet("a volume made from another one is"),
			"resources":                 works,
			"selector":                  works,
			"storageClassName":          works,
			"volumeAttributesClassName": notYet("a class of volume attributes is"),
			"volumeMode":                works.but("a raw block volume is", string(corev1.PersistentVolumeBlock)),
			"volumeName":                works,
		}),
		rows[corev1.VolumeResourceRequirements](fields{
			"limits":   noEffect("Kubernetes gives a volume the size that is requested, whatever the limit"),
			"requests": works,
		}),
		rows[corev1.PersistentVolume](whole),
		rows[corev1.PersistentVolumeSpec](fields{
			"accessModes":                   works,
			"capacity":                      works,
			"claimRef":                      works,
			"mountOptions":                  works,
			"nodeAffinity":                  works,
			"persistentVolumeReclaimPolicy": works,
			"storageClassName":              works,
			"volumeAttributesClassName":     notYet("a class of volume attributes is"),
			"volumeMode":                    works.but("a raw block volume is", string(corev1.PersistentVolumeBlock)),
		}),
		rows[corev1.PersistentVolumeSource](source),
		rows[corev1.LocalVolumeSource](fields{"fsType": noEffect("a directory has the file system that it lies in"), "path": works}),
		rows[corev1.VolumeNodeAffinity](fields{"required": works}),
		rows[corev1.ObjectReference](fields{
			"apiVersion":      noEffect("a volume is claimed by one kind only"),
			"fieldPath":       noEffect("a volume is claimed by one kind only"),
			"kind":            noEffect("a volume is claimed by one kind only"),
			"name":            works,
			"namespace":       works,
			"resourceVersion": noEffect("a volume is claimed by one kind only"),
			"uid":             works,
		}),
		rows[storagev1.StorageClass](fields{
			"allowVolumeExpansion": works,
			"allowedTopologies":    works,
			"metadata":             works,
			"mountOptions":         works,
			"parameters":           {support: actedOn, when: localParameters},
			"provisioner":          works,
			"reclaimPolicy":        works,
			"volumeBindingMode":    works,
		}),
		rows[corev1.TopologySelectorTerm](fields{"matchLabelExpressions": works}),
		rows[corev1.TopologySelectorLabelRequirement](fields{"key": works, "values": works}),
		rows[corev1.EphemeralVolumeSource](fields{"volumeClaimTemplate": works}),
		rows[corev1.PersistentVolumeClaimTemplate](fields{"metadata": works, "spec": works}),
		rows[corev1.PersistentVolumeClaimVolumeSource](fields{"claimName": works, "readOnly": works}),
	)
}

// localParameters is about classes that this cluster itself provisions for; what others make of theirs is not known.
func localParameters(parent any) string {
	if c, ok := parent.(storagev1.StorageClass); ok && c.Provisioner == localProvisioner && len(c.Parameters) > 0 {
		return "a parameter of " + localProvisioner + " is not supported yet"
	}
	return ""
}
