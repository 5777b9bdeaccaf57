package manifest

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

func cronJobTemplate(obj Object) *corev1.PodTemplateSpec {
	return &obj.(*batchv1.CronJob).Spec.JobTemplate.Spec.Template
}
