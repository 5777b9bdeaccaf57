package schema

// row is what a field means to people, and what more than its type is known of it.
type row struct {
	description string
	more        Node
}

// rows are the fields by their path; [] is an element of a list.
var rows = map[string]row{
	"":           {"Settings of a cluster that runs from this repository. Every field has a default, and the file may be absent.", Node{"required": []string{"apiVersion", "kind"}}},
	"apiVersion": {"The version of this format.", Node{"const": "writ.dev/v1alpha1"}},
	"kind":       {"Always Cluster.", Node{"const": "Cluster"}},
	"spec":       {"The settings.", nil},

	"spec.podCIDR":       {"The IPv4 range that addresses of pods come from. Fixed after the first adoption.", Node{"default": "10.244.0.0/16"}},
	"spec.serviceCIDR":   {"The IPv4 range of cluster IPs; its tenth address answers DNS. Fixed after the first adoption.", Node{"default": "10.96.0.0/16"}},
	"spec.clusterDomain": {"What the names of Services end with. Fixed after the first adoption.", Node{"default": "cluster.local"}},
	"spec.nodePorts":     {"The first and the last node port, both included.", Node{"default": "30000-32767", "pattern": `^\d+-\d+$`}},

	"spec.guards":                    {"What keeps a commit from deleting by accident.", nil},
	"spec.guards.maxDeletes":         {"How much a commit may delete without an Allow-Delete trailer. Where both limits are written a commit must exceed both to be held, where one is written that one, where none is: 10 objects and 20 %.", nil},
	"spec.guards.maxDeletes.objects": {"A number of objects.", Node{"minimum": 0}},
	"spec.guards.maxDeletes.percent": {"A part of the objects that the cluster has, in percent.", Node{"minimum": 0, "maximum": 100}},

	"spec.suspend":        {"While it is in the newest commit, nothing else of that commit is adopted.", Node{"required": []string{"reason"}}},
	"spec.suspend.reason": {"Why nothing is adopted. It is shown in the status and in metrics.", Node{"pattern": `\S`}},
	"spec.suspend.until":  {"When adopting goes on by itself, as 2027-01-31T18:00:00Z. Without it, not before a commit without suspend.", Node{"format": "date-time"}},

	"spec.signers":                   {"Whose signatures are enough for commits that change only some paths. They matter on nodes with --trusted-signers; a change of this list needs a key that the node itself trusts.", nil},
	"spec.signers[]":                 {"Keys, and the paths that they are trusted for.", Node{"required": []string{"path", "keys"}}},
	"spec.signers[].path":            {"A pattern of paths below this folder, or with a leading slash below the root of the repository: * and ? within a name, ** for any number of folders, a slash at the end for everything below.", nil},
	"spec.signers[].keys":            {"The keys that are trusted for the path.", Node{"minItems": 1}},
	"spec.signers[].keys[]":          {"An SSH public key, or an armored PGP public key.", nil},
	"spec.signers[].allowPrivileged": {"Lets what is written there ask for privileges on the node: privileged containers, the node's namespaces and files.", Node{"default": false}},

	"spec.charts":              {"The Helm charts that are part of the cluster.", nil},
	"spec.charts[]":            {"A chart, and what it is rendered with.", Node{"required": []string{"name"}, "oneOf": []Node{{"required": []string{"path"}}, {"required": []string{"repository", "version"}}}}},
	"spec.charts[].name":       {"The name of the release.", Node{"maxLength": 53}},
	"spec.charts[].namespace":  {"Where objects go unless a template says otherwise.", Node{"default": "default"}},
	"spec.charts[].path":       {"The chart's folder in this repository, relative to writ.yaml.", nil},
	"spec.charts[].repository": {"An https URL of a chart repository, or an oci URL of the chart itself.", Node{"pattern": "^(https?|oci)://"}},
	"spec.charts[].chart":      {"The chart's name in the index of an https repository.", nil},
	"spec.charts[].version":    {"One exact version: a range would make one commit mean two things.", Node{"examples": []string{"1.2.3"}}},
	"spec.charts[].digest":     {"The SHA-256 of the chart's archive. Without it the first fetch decides.", Node{"pattern": "^sha256:[0-9a-f]{64}$"}},
	"spec.charts[].valueFiles": {"Files with values, relative to writ.yaml; later ones win, and values win over all of them.", nil},
	"spec.charts[].values":     {"Values for the chart's templates.", nil},

	"spec.metrics":                             {"Where autoscalers get metrics of types Pods, Object and External.", nil},
	"spec.metrics.prometheus":                  {"A server that speaks Prometheus' HTTP API.", Node{"required": []string{"url"}}},
	"spec.metrics.prometheus.url":              {"Its address. A host NAME.NAMESPACE.svc is a Service of this cluster.", Node{"pattern": "^https?://", "examples": []string{"http://prometheus.monitoring.svc:9090"}}},
	"spec.metrics.prometheus.secret":           {"NAMESPACE/NAME of a Secret with token, or username and password, and ca.crt.", Node{"pattern": "^[a-z0-9-]+/[a-z0-9.-]+$"}},
	"spec.metrics.prometheus.queries":          {"How metrics are asked for that are not series of the same name.", nil},
	"spec.metrics.prometheus.queries[]":        {"The query of one metric.", Node{"required": []string{"metric", "query"}}},
	"spec.metrics.prometheus.queries[].metric": {"The name that autoscalers know it by.", nil},
	"spec.metrics.prometheus.queries[].type":   {"Only for metrics of this type.", Node{"enum": []string{"Pods", "Object", "External"}}},
	"spec.metrics.prometheus.queries[].query":  {"PromQL with $(metric), $(namespace), $(selector), $(pods), $(kind) and $(name). That of a metric of Pods gives one value for each, by the label pod.", nil},

	"spec.charts[].valueFiles[]":  {"A path in this repository.", nil},
	"spec.charts[].skipCRDs":      {"Leaves out what lies in the chart's crds folder, for those who declare it themselves.", Node{"default": false}},
	"spec.charts[].apiVersions":   {"Further API versions that the chart finds in .Capabilities, as of definitions that the repository declares elsewhere.", nil},
	"spec.charts[].apiVersions[]": {"group/version, or group/version/Kind.", nil},
}
