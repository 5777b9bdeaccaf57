package manifest

import (
	"reflect"

	batchv1 "k8s.io/api/batch/v1"
)

func jobTables(whole fields) map[reflect.Type]fields {
	return join(
		rows[batchv1.Job](whole),
		rows[batchv1.JobSpec](fields{
			"activeDeadlineSeconds":   works,
			"backoffLimit":            works,
			"backoffLimitPerIndex":    works,
			"completionMode":          works,
			"completions":             works,
			"managedBy":               works,
			"manualSelector":          works,
			"maxFailedIndexes":        works,
			"parallelism":             works,
			"podFailurePolicy":        works,
			"podReplacementPolicy":    works,
			"selector":                works,
			"successPolicy":           works,
			"suspend":                 works,
			"template":                works,
			"ttlSecondsAfterFinished": works,
		}),
		rows[batchv1.PodFailurePolicy](fields{"rules": works}),
		rows[batchv1.PodFailurePolicyRule](fields{"action": works, "onExitCodes": works, "onPodConditions": works}),
		rows[batchv1.PodFailurePolicyOnExitCodesRequirement](fields{"containerName": works, "operator": works, "values": works}),
		rows[batchv1.PodFailurePolicyOnPodConditionsPattern](fields{"status": works, "type": works}),
		rows[batchv1.SuccessPolicy](fields{"rules": works}),
		rows[batchv1.SuccessPolicyRule](fields{"succeededCount": works, "succeededIndexes": works}),
	)
}
