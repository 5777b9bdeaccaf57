package api

import (
	"io"

	"k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit/policy"
	genericapiserver "k8s.io/apiserver/pkg/server"
	auditlog "k8s.io/apiserver/plugin/pkg/audit/log"
)

// auditTo has told, a line of JSON each in upstream's form, who read secrets, ran commands in containers or reached their
// ports, asked for tokens or what another's token is, or tried to write: who, in whose name, what, from where and with which outcome,
// never what was sent or answered.
func auditTo(c *genericapiserver.Config, out io.Writer) {
	c.AuditBackend = auditlog.NewBackend(out, auditlog.FormatJson, auditv1.SchemeGroupVersion)
	c.AuditPolicyRuleEvaluator = policy.NewPolicyRuleEvaluator(&audit.Policy{
		OmitStages: []audit.Stage{audit.StageRequestReceived},
		Rules: []audit.PolicyRule{
			{Level: audit.LevelMetadata, Resources: []audit.GroupResources{
				{Resources: []string{"secrets", "serviceaccounts/token", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy"}},
				{Group: "authentication.k8s.io", Resources: []string{"tokenreviews"}},
			}},
			{Level: audit.LevelNone, Resources: []audit.GroupResources{{Group: "authentication.k8s.io"}, {Group: "authorization.k8s.io"}}}, // questions
			{Level: audit.LevelMetadata, Verbs: []string{"create", "update", "patch", "delete", "deletecollection"}},
			{Level: audit.LevelNone},
		},
	})
}
