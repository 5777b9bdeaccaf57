package manifest

import (
	"reflect"

	batchv1 "k8s.io/api/batch/v1"
)

func cronJobTables(whole fields) map[reflect.Type]fields {
	return join(
		rows[batchv1.CronJob](whole),
		rows[batchv1.CronJobSpec](fields{
			"concurrencyPolicy":          works,
			"failedJobsHistoryLimit":     works,
			"jobTemplate":                works,
			"schedule":                   works,
			"startingDeadlineSeconds":    works,
			"successfulJobsHistoryLimit": works,
			"suspend":                    works,
			"timeZone":                   works,
		}),
		rows[batchv1.JobTemplateSpec](fields{"metadata": works, "spec": works}),
	)
}
