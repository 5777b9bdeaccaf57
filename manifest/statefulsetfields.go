package manifest

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
)

func statefulSetTables(whole fields) map[reflect.Type]fields {
	return join(
		rows[appsv1.StatefulSet](whole),
		rows[appsv1.StatefulSetSpec](fields{
			"minReadySeconds":                      works,
			"ordinals":                             works,
			"persistentVolumeClaimRetentionPolicy": works,
			"podManagementPolicy":                  works,
			"replicas":                             works,
			"revisionHistoryLimit":                 works,
			"selector":                             works,
			"serviceName":                          works,
			"template":                             works,
			"updateStrategy":                       works,
			"volumeClaimTemplates":                 works,
		}),
		rows[appsv1.StatefulSetOrdinals](fields{"start": works}),
		rows[appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy](fields{"whenDeleted": works, "whenScaled": works}),
		rows[appsv1.StatefulSetUpdateStrategy](fields{"rollingUpdate": works, "type": works}),
		rows[appsv1.RollingUpdateStatefulSetStrategy](fields{"maxUnavailable": works, "partition": works}),
		rows[appsv1.ControllerRevision](fields{"data": noEffect("kept for who reads it"), "metadata": works, "revision": noEffect("kept for who reads it")}),
	)
}
